"""Rules for a release record that hold on every platform: who may use it, and how a guard's heartbeat changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tfcanary import __version__
from tfcanary.core.errors import Refused
from tfcanary.core.record import Record, State

END_STATES = {state.value for state in State if state.ended}


def check_writer(record: Mapping[str, Any], at: str) -> None:
    """Raise Refused where another version of tfcanary wrote the record and its release is active: fields may differ in meaning.

    `record` is the decoded document; `at` is where it lies, for the sentence.
    """
    writer, release = record.get("writer"), record.get("release")
    if writer != __version__ and release and release.get("state") not in END_STATES:
        raise Refused(
            f"{at}: tfcanary {writer} wrote this record, and this is tfcanary {__version__}; use that version, or end its release"
        )


def heard(record: Record, run_id: str, at: datetime) -> Record:
    """The record after a beat of this run's guard. An older beat, another run's and one after the end change nothing."""
    release = record.active
    if release is None or release.run_id != run_id or (release.guard_seen and release.guard_seen >= at):
        return record
    return replace(record, release=replace(release, guard_seen=at))
