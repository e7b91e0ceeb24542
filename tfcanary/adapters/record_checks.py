"""What records have in common wherever they lie: whose they are, and when the guard was last heard of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tfcanary import __version__
from tfcanary.core.errors import Refused
from tfcanary.core.record import Record, State

ENDED = {state.value for state in State if state.ended}


def check_writer(record: Mapping[str, Any], at: str) -> None:
    """Raises Refused where another version of tfcanary has a release on the road in the record that lies `at`: its fields may mean something else."""
    writer, release = record.get("writer"), record.get("release")
    if writer != __version__ and release and release.get("state") not in ENDED:
        raise Refused(
            f"{at}: tfcanary {writer} wrote this record, and this is tfcanary {__version__}; use that version, or end its release"
        )


def heard(record: Record, run_id: str, at: datetime) -> Record:
    """The record after a beat of this run's guard. An older beat, another run's and one after the end change nothing."""
    release = record.active
    if release is None or release.run_id != run_id or (release.guard_seen and release.guard_seen >= at):
        return record
    return replace(record, release=replace(release, guard_seen=at))
