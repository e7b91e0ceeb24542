"""Who owns a field of an object: the API server notes for each field which managers have set it (`metadata.managedFields`)."""

from __future__ import annotations

from collections.abc import Sequence

from tfcanary.adapters.kubeclient.resources import Json


def managers_of(found: Json, path: str) -> frozenset[str]:
    """The names of the managers that own the field at a JSON pointer, for example `/spec/rules`."""
    steps = [f"f:{step.replace('~1', '/')}" for step in path.split("/")[1:]]
    entries = found["metadata"].get("managedFields") or ()
    return frozenset(str(one.get("manager")) for one in entries if _has(one.get("fieldsV1") or {}, steps))


def _has(fields: Json, steps: Sequence[str]) -> bool:
    return not steps or (steps[0] in fields and _has(fields[steps[0]], steps[1:]))
