"""What every stored record needs, wherever it lies: a schema that this tfcanary knows, and the guard's newest beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.core.record import SCHEMA, Beat, Record


def check_schema(record: Mapping[str, Any], at: str) -> None:
    """Raises Refused, naming both numbers, where the record that lies `at` has a schema that this tfcanary does not know, or none.

    A record of a known schema is read whichever version of tfcanary wrote it.
    """
    schema, writer = record.get("schema"), record.get("writer", "of an unknown version")
    if isinstance(schema, int) and not isinstance(schema, bool) and 1 <= schema <= SCHEMA:
        return
    number = "no schema number" if schema is None else f"schema {schema}"
    raise Refused(f"{at}: tfcanary {writer} wrote this record with {number}, and this tfcanary knows schema {SCHEMA}; use that version")


def with_beat(record: Record, run_id: str, beat: Beat) -> Record:
    """The record with a beat of this run's guard. An older beat, another run's beat and one after the end change nothing."""
    release = record.active
    if release is None or release.run_id != run_id or (release.beat is not None and release.beat.number >= beat.number):
        return record
    return replace(record, release=replace(release, beat=beat))
