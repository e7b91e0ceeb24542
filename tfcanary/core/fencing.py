"""Fencing: which of two writes to one object of the world is the older one, and so must not land any more.

Every route, track and pool carries the stamp of the last write of ours. A writer reads the object, asks `admit`, and writes over
the very version that it read, so that a write which was on its way for long meets a conflict.
"""

from __future__ import annotations

from tfcanary.core.domain import Intent
from tfcanary.core.errors import Conflict


def admit(stamp: Intent | None, intent: Intent, what: str, lowering: bool = False) -> Intent:
    """The stamp that a write of this intent leaves on an object which carries `stamp`.

    A write that only lowers the candidate's traffic is taken from the release that stamped last, however old its intent is. Raises
    Conflict, naming the object by `what`, where a newer intent has written already.
    """
    if stamp is None or stamp.number <= intent.number:
        return intent
    if lowering and stamp.run_id == intent.run_id:
        return stamp
    raise Conflict(f"{what}: release {stamp.run_id!r} wrote intent {stamp.number} there, and this is {intent.number} of {intent.run_id!r}")
