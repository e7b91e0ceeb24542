"""Records in files: read, compare and swap."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.local.conftest import a_release
from tfcanary import __version__
from tfcanary.adapters.local.records import FileRecords
from tfcanary.adapters.routing import atomic_files
from tfcanary.core.domain import Desired, ModelVersion, Traffic
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.record import SCHEMA, Beat, Record, State

WRITERS = 16
ROUNDS = 5
AT_5 = Desired(Traffic(canary=5))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records" / "m.json"


def record(**changed: object) -> Record:
    return replace(Record(model="m", writer=__version__), **changed)


def test_there_is_no_record_before_the_first_release(path: Path) -> None:
    assert FileRecords(path).read() is None


def test_what_was_written_is_read(path: Path) -> None:
    written = record(stable=ModelVersion(3, "/models/m/3", "sha256:3"), release=a_release("run 1", desired=AT_5))
    generation = FileRecords(path).swap(written, 0)
    stored = FileRecords(path).read()
    assert stored is not None
    assert (stored.record, stored.generation) == (written, generation)


def test_a_write_over_an_older_generation_loses(path: Path) -> None:
    first = FileRecords(path).swap(record(), 0)
    FileRecords(path).swap(record(release=a_release("winner")), first)
    with pytest.raises(Conflict, match="generation 1 was to be written over, but it is 2"):
        FileRecords(path).swap(record(release=a_release("loser")), first)
    with pytest.raises(Conflict):
        FileRecords(path).swap(record(release=a_release("loser")), 0)
    stored = FileRecords(path).read()
    assert stored is not None
    assert stored.record.release is not None
    assert stored.record.release.run_id == "winner"


def _race(path: Path, writer: int, together: Any, won: Any) -> None:
    for generation in range(ROUNDS):
        together.wait()
        try:
            FileRecords(path).swap(record(release=a_release(f"writer {writer}")), generation)
        except Conflict:
            continue
        won.put((generation, writer))


def test_of_many_writers_one_wins_each_round(path: Path) -> None:
    processes = multiprocessing.get_context("fork")
    together, won = processes.Barrier(WRITERS), processes.Queue()
    writers = [processes.Process(target=_race, args=(path, writer, together, won)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    winners = [won.get(timeout=60) for _ in range(ROUNDS)]
    for writer in writers:
        writer.join()
    assert sorted(generation for generation, _ in winners) == list(range(ROUNDS))
    assert won.empty()
    stored = FileRecords(path).read()
    assert stored is not None
    assert stored.generation == ROUNDS
    assert stored.record.release is not None
    assert stored.record.release.run_id == f"writer {dict(winners)[ROUNDS - 1]}"


@pytest.mark.parametrize(("schema", "number"), [({"schema": SCHEMA + 1}, f"schema {SCHEMA + 1}"), ({}, "no schema number")])
def test_a_record_of_an_unknown_schema_is_refused_by_both_numbers(path: Path, schema: dict[str, int], number: str) -> None:
    """Its fields may be others, so it is refused before they are looked at."""
    path.parent.mkdir()
    known = {"model": "m", "writer": "9.9", "release": {"state": "watched"}, "fields": "of a later year"}
    path.write_text(json.dumps({"generation": 4, "record": {**known, **schema}}))
    for call in (lambda: FileRecords(path).read(), lambda: FileRecords(path).swap(record(), 4)):
        with pytest.raises(Refused, match=rf"tfcanary 9\.9 wrote this record with {number}, and this tfcanary knows schema {SCHEMA}"):
            call()


@pytest.mark.parametrize("state", [State.WATCHED, State.PROMOTED])
def test_a_record_of_a_known_schema_is_held_whatever_version_wrote_it(path: Path, state: State) -> None:
    """An upgrade strands no release."""
    release = a_release("run 1", state=state)
    generation = FileRecords(path).swap(record(writer="0.0.1", release=release), 0)
    stored = FileRecords(path).read()
    assert stored is not None
    assert stored.record.release == release
    assert FileRecords(path).swap(record(release=release), generation) == generation + 1


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


FIRST = Beat(number=1, able=1, at=NOON)
SECOND = Beat(number=2, able=1, at=NOON, renewal="step 3", unchanged=timedelta(seconds=7))


def test_a_beat_is_read_and_makes_nobody_lose_a_race(path: Path) -> None:
    generation = FileRecords(path).swap(record(release=a_release("run 1")), 0)
    after = FileRecords(path).beat("run 1", SECOND)
    assert after == FileRecords(path).read()
    assert after.record.release is not None
    assert (after.record.release.beat, after.generation) == (SECOND, generation)
    FileRecords(path).swap(record(release=a_release("run 1", desired=AT_5)), generation)


def test_a_beat_between_read_and_write_is_not_undone(path: Path) -> None:
    generation = FileRecords(path).swap(record(release=a_release("run 1", beat=FIRST)), 0)
    FileRecords(path).beat("run 1", SECOND)
    FileRecords(path).swap(record(release=a_release("run 1", desired=AT_5, beat=FIRST)), generation)
    stored = FileRecords(path).read()
    assert stored is not None
    assert stored.record.release is not None
    assert (stored.record.release.weight, stored.record.release.beat) == (5, SECOND)


def test_the_guard_of_the_release_before_leaves_no_beat_in_the_next_one(path: Path) -> None:
    generation = FileRecords(path).swap(record(release=a_release("run 1")), 0)
    FileRecords(path).beat("run 1", SECOND)
    FileRecords(path).swap(record(release=a_release("run 2")), generation)
    stored = FileRecords(path).beat("run 1", replace(SECOND, number=3))
    assert stored.record.release is not None
    assert stored.record.release.beat is None


def test_a_beat_changes_neither_another_release_nor_an_ended_one_nor_goes_back(path: Path) -> None:
    generation = FileRecords(path).swap(record(release=a_release("run 1")), 0)
    FileRecords(path).beat("run 1", SECOND)
    standing = FileRecords(path).read()
    assert FileRecords(path).beat("run 0", replace(SECOND, number=9)) == standing
    assert FileRecords(path).beat("run 1", FIRST) == standing
    ended = a_release("run 1", state=State.PROMOTED, ended=NOON)
    FileRecords(path).swap(record(release=ended), generation)
    stored = FileRecords(path).beat("run 1", replace(SECOND, number=9))
    assert stored.record.release == ended


def test_a_beat_without_a_record_is_refused(path: Path) -> None:
    with pytest.raises(Refused, match="no release 'run 1' to guard"):
        FileRecords(path).beat("run 1", FIRST)
    assert FileRecords(path).read() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"generation": 1}', '{"generation": "x", "record": {}}', '{"generation": 1, "record": 5}']
)
def test_a_file_that_is_no_record_is_refused(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(Refused, match=r"m\.json"):
        FileRecords(path).read()


def test_a_record_that_cannot_be_reached_is_unavailable(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(Unavailable, match=r"m\.json: cannot be read \(Is a directory\)"):
        FileRecords(path).read()


def test_the_record_of_another_model_is_not_written(path: Path) -> None:
    with pytest.raises(Refused, match="'other'"):
        FileRecords(path).swap(record(model="other"), 0)
    assert not path.exists()


def test_a_writer_that_was_stopped_in_the_middle_is_not_waited_for_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_files, "PATIENCE", 0.05)
    path.parent.mkdir()
    with atomic_files.write_lock(path), pytest.raises(Unavailable, match="has held its lock"):
        FileRecords(path).swap(record(), 0)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "records").touch()
    with pytest.raises(Unavailable, match=r"m\.json: cannot be (read|written)"):
        FileRecords(tmp_path / "records" / "m.json").swap(record(), 0)
