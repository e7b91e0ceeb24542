"""What a person sees of a release while it goes on: in 80 columns, with honest times, and nothing that commands a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import BinaryIO

import pytest
from rich.console import Console

from tests.act.conftest import RUN, deployed, model, pushed
from tests.cli.test_cli import run
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tfcanary import adapters
from tfcanary.act import checkpoint, ledger, rollback
from tfcanary.core.domain import ModelVersion
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Blob
from tfcanary.core.record import State
from tfcanary.core.timeline import Point, Timeline
from tfcanary.run import watch
from tfcanary.run.submit import progress
from tfcanary.run.submit.snapshots import Snapshot, SnapshotReader, follow_record, read_snapshot
from tfcanary.run.submit.time_left import TimeLeft, bounds, forecast, time_left

__all__ = ["deployed", "model", "pushed"]


def drawn(seen: Snapshot, world: World, width: int = 80) -> str:
    out = StringIO()
    Console(file=out, width=width).print(progress.picture(seen, world.clock.now()))
    return out.getvalue()


def halfway(world: World, seconds: float) -> Snapshot:
    """A release whose first stage was watched for so long."""
    found: list[Snapshot] = []
    until = world.clock.now() + timedelta(seconds=seconds)

    def stop(_: float) -> None:
        if world.clock.now() >= until and not found:
            now = read_snapshot(world.platform())
            assert now is not None
            found.append(now)

    world.clock.on_sleep.append(stop)
    watch.watch_stage(world.platform(), RUN, 0)
    world.clock.on_sleep.remove(stop)
    return found[0]


def test_a_release_that_is_watched_shows_stage_times_requests_and_alpha(world: World, deployed: ModelVersion) -> None:
    seen = halfway(world, 20)
    shown = drawn(replace(seen, release=seen.release), world)
    assert "digits v2  is being watched at 10 %" in shown
    assert "requests     stable" in shown
    assert "of 0.04, by" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def at(world: World, seen: Snapshot, seconds: float) -> TimeLeft:
    began = seen.release.stage_began
    assert began is not None
    found = time_left(seen.release, seen.outline, began + timedelta(seconds=seconds))
    assert found is not None
    return found


def test_the_bounds_are_those_of_the_plan_and_shrink(world: World, deployed: ModelVersion) -> None:
    seen = halfway(world, 20)
    assert bounds(at(world, seen, 10)) == "at least 20 s, at most 14 min 50 s; then 1 more stage of at least 30 s"
    assert bounds(at(world, seen, 40)).startswith("any moment now, at most 14 min")
    silent = replace(seen, checkpoint=None)
    assert bounds(at(world, silent, 40)).startswith("once the canary gets a request, at most 14 min")


def test_the_last_stage_waits_for_the_bake_time_and_then_for_proof(world: World, deployed: ModelVersion) -> None:
    seen = halfway(world, 20)
    last = replace(seen, release=replace(seen.release, stage=1, first_traffic=seen.release.stage_began))
    assert bounds(at(world, last, 10)) == "at least 50 s, at most 14 min 50 s"
    assert bounds(at(world, last, 100)) == "once every criterion is proven, at most 13 min 20 s"
    assert bounds(at(world, last, 10_000)) == "once every criterion is proven, at most 0 s"


def timeline_of(seen: Snapshot, rate: float) -> Timeline:
    """A minute of polls at that many requests a second."""
    began = seen.release.stage_began
    assert began is not None
    return Timeline(tuple(Point(began + timedelta(seconds=t), 10, rate * t * 0.9, rate * t * 0.1) for t in range(0, 61, 5)))


def test_the_forecast_says_when_a_good_canary_is_promoted_or_that_it_will_not_be(world: World, deployed: ModelVersion) -> None:
    seen = halfway(world, 20)
    began = seen.release.stage_began
    assert began is not None

    def said(rate: float, seconds: float) -> str:
        found = time_left(seen.release, timeline_of(seen, rate), began + timedelta(seconds=seconds))
        assert found is not None
        return forecast(found)

    assert said(100.0, 20).startswith("probably in ")
    assert said(0.05, 20) == "at this traffic probably not in time, however good it is"
    assert said(0.0, 20) == ""


def test_without_a_watch_nothing_is_promised(world: World, deployed: ModelVersion) -> None:
    release = ledger.read_release(world.platform(), RUN)
    assert time_left(release, None, world.clock.now()) is None
    assert time_left(replace(release, state=State.PROMOTING), None, world.clock.now()) is None


def test_what_a_reason_holds_commands_no_terminal(world: World, deployed: ModelVersion) -> None:
    seen = halfway(world, 20)
    assert seen.checkpoint is not None
    hostile = replace(seen.checkpoint.verdict, reason="[red]\x1b[2J\u202eevil " + "x" * 9000)
    shown = drawn(replace(seen, checkpoint=replace(seen.checkpoint, verdict=hostile)), world)
    assert "\x1b" not in shown
    assert "[red]\\u001b[2J\\u202eevil" in shown.replace("\n", "")
    assert len(shown) < 4000


def test_without_a_terminal_each_event_is_a_line_and_each_stage_tells_its_time(
    world: World, deployed: ModelVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    def snapshots() -> Iterator[Snapshot]:
        yield halfway(world, 5)
        now = read_snapshot(world.platform())
        assert now is not None
        yield now

    progress.show(snapshots(), world.clock)
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "stage 0 ends: " in line]) == 1
    assert any("digits at 10 %: stage 0: advance" in line for line in said)


def test_status_watches_a_release_until_it_has_ended(
    world: World, deployed: ModelVersion, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))
    ended: list[float] = []

    def abort(seconds: float) -> None:
        if seconds == 1.0 and not ended:
            ended.append(seconds)
            rollback.roll_back(world.platform(), RUN, "the page went off")

    world.clock.on_sleep.append(abort)
    assert run("status", "digits", "--watch", "--platform", "fake://") == 3
    assert "the page went off" in capsys.readouterr().out
    assert [one.release.state for one in follow_record(world.platform())] == [State.ROLLED_BACK]


def test_status_shows_the_picture_of_a_release_that_goes_on(
    world: World, deployed: ModelVersion, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))
    shown: list[str] = []
    until = world.clock.now() + timedelta(seconds=20)

    def look(_: float) -> None:
        if world.clock.now() >= until and not shown:
            assert run("status", "digits", "--platform", "fake://") == 0
            shown.append(capsys.readouterr().out)

    world.clock.on_sleep.append(look)
    watch.watch_stage(world.platform(), RUN, 0)
    (said,) = shown
    assert said.startswith("digits: stable version 1\n")
    for part in ("is being watched at 10 %", "stage ends  ", "requests     stable", "criterion  ", "errors  "):
        assert part in said, part


def test_a_release_without_a_poll_yet_is_drawn_too(world: World, plan: Plan) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    seen = read_snapshot(world.platform())
    assert seen is not None
    assert checkpoint.load(world.platform(), seen.release) is None
    assert "is being checked and deployed; it has no traffic" in drawn(seen, world)


def test_of_a_stage_that_is_over_no_time_is_left(world: World, deployed: ModelVersion) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    seen = read_snapshot(world.platform())
    assert seen
    assert time_left(seen.release, seen.outline, world.clock.now()) is None
    assert "stage ends" not in drawn(seen, world)


def test_the_display_reads_the_state_only_where_the_record_names_another_one(world: World, deployed: ModelVersion) -> None:
    class CountingStorage(FakeStorage):
        def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
            read.append(name)
            return super().read(name, into, generation)

    read: list[str] = []
    counted = CountingStorage()
    counted.objects = world.storage.objects
    reader = SnapshotReader(replace(world.platform(), storage=counted))
    seen: list[Snapshot] = []

    def show(_: float) -> None:
        for _second in range(5):
            snapshot = reader.read()
            assert snapshot is not None
            seen.append(snapshot)

    world.clock.on_sleep.append(show)
    watch.watch_stage(world.platform(), RUN, 0)
    named = {one.release.judged for one in seen}
    assert len(seen) >= 35
    assert 1 < len(named) < 10
    assert len(read) <= len(named)
    assert {name.split("/")[1] for name in read} == {"releases"}, "no page is drawn: no reel is read"
    rollback.roll_back(world.platform(), RUN, "aborted")
    show(0.0)
    assert seen[-1].checkpoint == checkpoint.load(world.platform(), seen[-1].release)
