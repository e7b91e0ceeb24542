"""Finds Python code that Keras wrote into the export.

The code is harmless to a model server, but it runs on the machine of a person who loads the same files with Keras.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import evidence, failure, quote, warning
from tfcanary.look.savedmodel.protobuf_walk import Field, Unreadable, Walk

FILE = "keras_metadata.pb"
FILE_BYTES = 2**28
METADATA_BYTES = 2**22
"""Largest description of a layer in bytes that is parsed; parsed JSON takes twenty times the memory, so a longer one is searched as text."""
TEXT_BYTES = 2**26


def check_keras(case: Case) -> Evidence:
    """Check that no Keras layer carries Python code."""
    layers, size = list(case.facts.layers), case.tree.sizes.get(FILE, 0)
    try:
        if 0 < size <= FILE_BYTES:
            with (case.model / FILE).open("rb") as file:
                layers += _scan_file(Walk(file, size))
    except (Unreadable, OSError) as error:
        return evidence("keras", [failure(f"{FILE}: {error}")], "")
    names = ", ".join(quote(name) for name in layers[:3])
    problems = (
        [warning(f"{len(layers)} Keras layers carry Python code ({names}): do not load this model with Keras where you would not run it")]
        if layers
        else []
    )
    return evidence("keras", problems, "no Keras layer carries Python code")


def _scan_file(walk: Walk) -> Iterator[str]:
    for node in walk.nested(walk.whole, 1):
        for metadata in walk.nested(node, 5):
            yield from layers_with_code(walk, metadata)


def layers_with_code(walk: Walk, metadata: Field) -> Iterator[str]:
    """The names of the layers that carry Python code, in one description (JSON) of a layer or of a model with all its layers."""
    content = walk.read(metadata, TEXT_BYTES)
    if len(content) > METADATA_BYTES:
        yield from ["a layer in a long description"] if b'"Lambda"' in content else []
        return
    try:
        waiting = [json.loads(content)]
    except (ValueError, RecursionError):
        return  # Keras cannot read such a description either
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("class_name") == "Lambda":
                config = value.get("config")
                yield str(config.get("name", "Lambda")) if isinstance(config, dict) else "Lambda"
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
