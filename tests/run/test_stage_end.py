"""How a stage ends by its own times, and not before it has had its least number of requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tests.act.conftest import RUN, deployed, model, pushed, release_of
from tests.fakes import World
from tfcanary.act import ledger
from tfcanary.core.domain import Decision, ModelVersion, Verdict
from tfcanary.core.plan import Plan, Stage
from tfcanary.core.record import Pause
from tfcanary.core.timeline import Timeline
from tfcanary.run import watch
from tfcanary.run.stage_end import SAMPLES, conclude

__all__ = ["deployed", "model", "pushed"]


def planned(world: World, change: Callable[[Plan], Plan]) -> None:
    ledger.change(world.platform(), RUN, lambda r: replace(r, plan=change(r.plan)))


def watched_for(world: World) -> timedelta:
    began = release_of(world).stage_began
    assert began is not None
    return world.clock.now() - began


def test_a_stage_is_watched_for_its_own_least_time(world: World, deployed: ModelVersion) -> None:
    own = Stage(10, minimum=timedelta(minutes=4), maximum=timedelta(minutes=8))
    planned(world, lambda plan: replace(plan, stages=(own, Stage(50))))
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    assert watched_for(world) >= timedelta(minutes=4)


def test_a_stage_does_not_end_well_before_it_has_had_its_samples(world: World, deployed: ModelVersion) -> None:
    planned(world, lambda plan: replace(plan, stages=(Stage(10, samples=300, maximum=timedelta(hours=1)), Stage(50))))
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert verdict.decision is Decision.ADVANCE
    assert float(verdict.reason.split("after ")[1].split(" canary")[0]) >= 300


def test_a_stage_that_never_has_its_samples_is_undecided(world: World, deployed: ModelVersion) -> None:
    planned(world, lambda plan: replace(plan, stage=replace(plan.stage, samples=1_000_000, maximum=timedelta(minutes=3))))
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, verdict.undecided, world.weight) == (Decision.ROLLBACK, True, 0)
    assert "of the 1,000,000 canary requests that its plan asks for (samples)" in verdict.reason
    assert SAMPLES in [one.about for one in verdict.evidence]


def test_the_last_stage_is_not_promoted_without_its_samples(world: World, deployed: ModelVersion) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    planned(world, lambda plan: replace(plan, stages=(Stage(10), Stage(50, samples=1_000_000, maximum=timedelta(minutes=5)))))
    assert watch.watch_stage(world.platform(), RUN, 1).undecided


def test_a_window_takes_as_long_as_it_takes_and_a_person_does_not(world: World, deployed: ModelVersion) -> None:
    """After the maximum and the patience a judge that does not know yet ends the stage, but for a wait for its window."""
    at = world.clock.now()
    release = replace(release_of(world), stage=0, stage_began=at - timedelta(hours=9))
    unsure = Verdict(Decision.HOLD, "not enough yet", at=at)
    waits = Pause(at - timedelta(hours=8, minutes=50), until=at + timedelta(hours=1))
    assert conclude(replace(release, pause=waits), unsure, Timeline()) is None
    overdue = conclude(replace(release, pause=None), unsure, Timeline())
    assert overdue is not None
    assert overdue.undecided
    paused = replace(release.plan.stage, patience=timedelta(hours=1))
    forgotten = conclude(replace(release, plan=replace(release.plan, stage=paused), pause=replace(waits, until=None)), unsure, Timeline())
    assert forgotten is not None
    assert forgotten.reason == "undecided: nobody resumed it within 1h"


def test_an_earlier_wait_for_a_window_is_no_time_of_the_stage_and_nobodys_patience(world: World, deployed: ModelVersion) -> None:
    at = world.clock.now()
    waited = replace(
        release_of(world), stage=0, stage_began=at - timedelta(hours=9), pause=Pause(at - timedelta(hours=8), until=at)
    ).resumed(at - timedelta(seconds=1))
    assert (waited.waiting(at), waited.standing(at)) == (timedelta(0), timedelta(hours=8) - timedelta(seconds=1))
