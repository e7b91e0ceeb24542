"""Python code that Keras left in the export: harmless to a model server, not to a colleague who loads the same files with Keras."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tfcanary.domain import Evidence
from tfcanary.savedmodel.case import Case
from tfcanary.savedmodel.findings import evidence, fails, shown, warns
from tfcanary.savedmodel.walk import Field, Unreadable, Walk

FILE = "keras_metadata.pb"
FILE_BYTES = 2**28
METADATA_BYTES = 2**24
"""The root of a large model describes all its layers once more."""


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
    """The names of layers that carry code, in one layer's description (JSON)."""
    walk.keep(metadata.size // 8)
    if metadata.size > METADATA_BYTES:
        raise Unreadable(f"a Keras layer is described in {metadata.size:,} bytes")
    try:
        found = json.loads(walk.read(metadata, METADATA_BYTES))
    except (ValueError, RecursionError):
        return  # Keras could not read it either
    config = found.get("config") if isinstance(found, dict) else None
    if isinstance(config, dict) and found.get("class_name") == "Lambda":
        yield str(config.get("name", "Lambda"))
