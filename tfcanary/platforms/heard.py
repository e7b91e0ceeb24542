"""What records have in common wherever they lie: whose they are, and when the guard was last heard of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tfcanary import __version__
from tfcanary.errors import Refused
from tfcanary.record import Record


def check_writer(writer: object, at: str) -> None:
    """Raises Refused where another version of tfcanary wrote the record that lies `at`: its fields may mean something else."""
    if writer != __version__:
        raise Refused(
            f"{at}: tfcanary {writer} wrote this record, and this is tfcanary {__version__}; use that version, or end its release"
        )


def heard(record: Record, run_id: str, at: datetime) -> Record:
    """The record after a beat of this run's guard. An older beat, another run's and one after the end change nothing."""
    release = record.on_the_road
    if release is None or release.run_id != run_id or (release.guard_seen and release.guard_seen >= at):
        return record
    return replace(record, release=replace(release, guard_seen=at))
