"""Writes that an older intent cannot land: over the very version of the object that was read, with the stamp of the intent.

A writer makes an `attempt`: it reads the object, asks `core.fencing.admit`, and returns the write. `compare_and_swap` makes the write, and
attempts again where somebody else, for example a controller that writes the status, has written since the reading.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.object_names import INTENT
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.core.domain import Intent
from tfcanary.core.errors import Conflict, Unavailable

TRIES = 10
"""Writes that may lose in a row: an object's other writers are few, and each is done within a second."""
PAUSE = 0.05
"""Seconds of the longest first pause between two attempts; it doubles up to 32 times as long."""

T = TypeVar("T")


def compare_and_swap(attempt: Callable[[], Callable[[], T]], what: str) -> T:
    """Make the write that `attempt` returns; where it loses, attempt again from the reading. Returns what the write returns.

    A Conflict that `attempt` itself raises, such as that of a newer intent, ends it. Raises Unavailable after TRIES lost writes.
    """
    for number in range(TRIES):
        write = attempt()
        try:
            return write()
        except Conflict:
            time.sleep(random.uniform(0, PAUSE * 2 ** min(number, 5)))
    raise Unavailable(f"{what}: somebody else wrote first {TRIES} times in a row")


def stamp_of(found: Json | None) -> Intent | None:
    """The intent of the last write of ours to an object; None where there is no object, or no stamp on it."""
    return Intent.of_stamp((found["metadata"].get("annotations") or {}).get(INTENT)) if found else None


def with_stamp(body: Json, stamp: Intent) -> Json:
    """The body of a write with a stamp among its annotations."""
    annotations = {**(body["metadata"].get("annotations") or {}), INTENT: stamp.stamp()}
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}}


def write_over(api: Api, resource: Resource, found: Json | None, body: Json, stamp: Intent, force: bool = False) -> Json:
    """Apply a body over the version of the object that was read, or create the object where none was; returns the object.

    Raises Conflict where the object is another by now, ForeignFields where somebody else owns a field, unless `force` takes it.
    """
    written = with_stamp(body, stamp)
    if found is None:
        return api.create(resource, written)
    # With the uid: to apply a version over an object that is gone would make it anew.
    metadata = {**written["metadata"], **{key: found["metadata"][key] for key in ("uid", "resourceVersion")}}
    return api.apply(resource, {**written, "metadata": metadata}, force=force)


def merge_over(api: Api, resource: Resource, found: Json, body: Json, stamp: Intent) -> Json:
    """Change some fields of the version of an object that was read, and stamp it; returns the object.

    Raises Conflict where the object is another by now, or was deleted.
    """
    metadata = {**body.get("metadata", {}), "resourceVersion": found["metadata"]["resourceVersion"]}
    return api.merge(resource, found["metadata"]["name"], with_stamp({**body, "metadata": metadata}, stamp))
