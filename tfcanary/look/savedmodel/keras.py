"""Python code that Keras left in the export: harmless to a model server, not to a colleague who loads the same files with Keras."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import evidence, fails, shown, warns
from tfcanary.look.savedmodel.protobuf_walk import Field, Unreadable, Walk

FILE = "keras_metadata.pb"
FILE_BYTES = 2**28
METADATA_BYTES = 2**22
"""A longer description is searched as text: as JSON it would take twenty times its size."""
TEXT_BYTES = 2**26


def check_keras(case: Case) -> Evidence:
    """No layer brings Python code along."""
    layers, size = list(case.facts.layers), case.tree.sizes.get(FILE, 0)
    try:
        if 0 < size <= FILE_BYTES:
            with (case.model / FILE).open("rb") as file:
                layers += _in_file(Walk(file, size))
    except (Unreadable, OSError) as error:
        return evidence("keras", [fails(f"{FILE}: {error}")], "")
    names = ", ".join(shown(name) for name in layers[:3])
    problems = (
        [warns(f"{len(layers)} Keras layers carry Python code ({names}): do not load this model with Keras where you would not run it")]
        if layers
        else []
    )
    return evidence("keras", problems, "no Keras layer carries Python code")


def _in_file(walk: Walk) -> Iterator[str]:
    for node in walk.nested(walk.whole, 1):
        for metadata in walk.nested(node, 5):
            yield from code_in(walk, metadata)


def code_in(walk: Walk, metadata: Field) -> Iterator[str]:
    """The names of layers that carry code, in one description (JSON) of a layer or of a model with all its layers."""
    content = walk.read(metadata, TEXT_BYTES)
    if len(content) > METADATA_BYTES:
        yield from ["somewhere in a long description"] if b'"Lambda"' in content else []
        return
    try:
        waiting = [json.loads(content)]
    except (ValueError, RecursionError):
        return  # Keras could not read it either
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if found.get("class_name") == "Lambda":
                yield _name(found.get("config"))
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _name(config: object) -> str:
    return str(config.get("name", "Lambda")) if isinstance(config, dict) else "Lambda"
