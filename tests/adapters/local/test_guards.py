"""The guards of releases: started once, again when they die, and back with the supervisor while their release needs them."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from tests.adapters.local.conftest import Place, a_release, kill_supervisor, lives, text_of, until
from tfcanary.adapters import local
from tfcanary.core.errors import Refused
from tfcanary.core.record import Beat, Release, State

BEAT = Beat(3, 1, datetime.now(UTC))


@pytest.mark.parametrize(
    "release",
    [
        a_release("stays 1"),
        a_release("stays 1", state=State.WATCHED, beat=BEAT),
        a_release("stays 1", state=State.ROLLING_BACK, beat=BEAT),
        a_release("stays 1", state=State.PROMOTED, beat=BEAT),
    ],
    ids=["just begun", "watched", "rolling back", "promoted, but not published yet"],
)
def test_a_release_that_needs_its_guard_gets_it_back(place: Place, release: Release) -> None:
    place.serve(stable=1, canary=2)
    place.remember(1, release)
    kill_supervisor(place)
    place.up()
    until(lambda: [g["run_id"] for g in place.shown()["guards"] if g["state"] == "running"] == ["stays 1"])
    until(lambda: text_of(place.folder.root / "guard-starts") == "m stays 1\n")


@pytest.mark.parametrize(("state", "published"), [(State.PROMOTED, True), (State.ROLLED_BACK, False), (State.REFUSED, False)])
def test_an_ended_release_gets_none(place: Place, state: State, published: bool) -> None:
    place.serve(stable=1)
    place.remember(1, a_release("stays 2", state=state, published=published, beat=BEAT))
    kill_supervisor(place)
    place.up()
    assert place.shown()["guards"] == []


def test_a_guard_that_dies_is_started_again_and_one_that_ends_is_not(model: Place) -> None:
    guards, starts = model.bound().guards, model.folder.root / "guard-starts"
    for run_id in ("dies", "ends --help", "stays"):
        guards.start(run_id)
    until(lambda: text_of(starts).count(f"{model.model} dies\n") >= 3 and "stays" in text_of(starts))
    until(lambda: _guards(model)["ends --help"] == "over")
    guards.start("stays")
    assert _guards(model)["stays"] == "running"
    assert [starts.read_text().count(f"{model.model} {run_id}\n") for run_id in ("ends --help", "stays")] == [1, 1]
    guards.stop("dies")


def test_a_guard_whose_model_has_another_release_ends_for_good(model: Place) -> None:
    """It stops itself and then ends with an error, as the command line does."""
    guards, starts = model.bound().guards, model.folder.root / "guard-starts"
    guards.start("is held up")
    until(lambda: _guards(model)["is held up"] == "over")
    guards.start("ends")
    until(lambda: _guards(model).get("ends") == "over")
    assert starts.read_text().count(f"{model.model} is held up\n") == 1


def test_a_guard_that_is_stopped_and_does_not_end_by_itself_is_ended(model: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    model.bound().guards.start("stays")
    until(lambda: _guards(model)["stays"] == "running")
    pid = model.shown()["guards"][0]["pid"]
    model.bound().guards.stop("stays")
    model.bound().guards.stop("never began")
    until(lambda: not lives(pid))
    assert _guards(model)["stays"] == "over"


def test_a_release_that_begins_again_after_its_guard_was_stopped_gets_a_new_one(model: Place) -> None:
    guards = model.bound().guards
    guards.start("stays")
    until(lambda: _guards(model)["stays"] == "running")
    first = model.shown()["guards"][0]["pid"]
    guards.stop("stays")
    guards.start("stays")
    until(lambda: _guards(model)["stays"] == "running" and model.shown()["guards"][0]["pid"] != first)
    until(lambda: not lives(first))
    os.kill(model.shown()["guards"][0]["pid"], 0)


def test_down_ends_the_guards_and_to_stop_one_afterwards_is_no_error(place: Place) -> None:
    place.bound().guards.start("stays")
    until(lambda: _guards(place)["stays"] == "running")
    pid = place.shown()["guards"][0]["pid"]
    local.down(place.folder.root)
    assert not lives(pid)
    place.bound().guards.stop("stays")


def _guards(place: Place) -> dict[str, str]:
    return {guard["run_id"]: guard["state"] for guard in place.shown()["guards"]}


@pytest.mark.parametrize("run_id", ["", "x" * 201, "two\nlines"])
def test_a_run_id_that_is_none_is_refused(model: Place, run_id: str) -> None:
    with pytest.raises(Refused, match="run id"):
        model.bound().guards.start(run_id)
