"""The guards of releases: started once, again when they die, and back with the supervisor while the release is on the road."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.adapters.local.conftest import Place, a_release, kill_supervisor, text_of, until
from tfcanary.core.errors import Refused
from tfcanary.core.record import State


def test_a_release_on_the_road_gets_its_guard_back(place: Place) -> None:
    place.serve(stable=1, canary=2)
    place.remember(1, a_release("stays 1", state=State.WATCHED, guard_seen=datetime.now(UTC)))
    kill_supervisor(place)
    place.up()
    until(lambda: [g["run_id"] for g in place.shown()["guards"] if g["state"] == "running"] == ["stays 1"])
    until(lambda: text_of(place.folder.root / "guard-starts") == "m stays 1\n")


def test_an_ended_release_gets_none(place: Place) -> None:
    place.serve(stable=1)
    place.remember(1, a_release("stays 2", state=State.PROMOTED, guard_seen=datetime.now(UTC)))
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


def _guards(place: Place) -> dict[str, str]:
    return {guard["run_id"]: guard["state"] for guard in place.shown()["guards"]}


@pytest.mark.parametrize("run_id", ["", "x" * 201, "two\nlines"])
def test_a_run_id_that_is_none_is_refused(model: Place, run_id: str) -> None:
    with pytest.raises(Refused, match="run id"):
        model.bound().guards.start(run_id)
