"""The one loop: it trips at once, it never raises alone, and it goes on after whoever died."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.act.conftest import RUN, at_last_stage, deployed, held_by_the_dead, model, pushed
from tests.act.dying import Dies
from tests.fakes import World
from tests.process import Behaviour, Process
from tfcanary.act import checkpoint, ledger, promote, restore, rollback, shift
from tfcanary.core.domain import Decision, ModelVersion, Pool, RunningPool, Track, Traffic
from tfcanary.core.errors import Held, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Stored
from tfcanary.core.record import Beat, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.run import watch
from tfcanary.run.guard import stand_guard

__all__ = ["at_last_stage", "deployed", "model", "pushed"]


def release_of(world: World) -> Release:
    release = ledger.read(world.platform()).release
    assert release is not None
    return release


def test_a_healthy_canary_advances_and_is_then_promoted_by_the_judge(world: World, deployed: ModelVersion) -> None:
    first = watch.watch_stage(world.platform(), RUN, 0)
    assert (first.decision, world.weight) == (Decision.ADVANCE, 10)
    second = watch.watch_stage(world.platform(), RUN, 1)
    assert (second.decision, world.weight) == (Decision.PROMOTE, 50)
    assert world.unserved == 0


def test_the_weight_is_back_at_zero_when_a_rollback_decision_returns(world: World, deployed: ModelVersion) -> None:
    world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, errors=0.2)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, world.weight) == (Decision.ROLLBACK, 0)
    assert release_of(world).state is State.ROLLING_BACK
    assert "error" in verdict.reason


def test_a_canary_that_loses_its_requests_never_passes(world: World, deployed: ModelVersion) -> None:
    world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, silent=True)
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ROLLBACK


def test_a_metric_source_that_is_down_promotes_nothing(world: World, deployed: ModelVersion) -> None:
    world.scraped = False
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, world.weight) == (Decision.ROLLBACK, 0)
    assert verdict.reason.startswith("undecided")
    assert not release_of(world).failed


def test_a_stage_that_was_watched_already_returns_its_verdict_and_moves_nothing(world: World, deployed: ModelVersion) -> None:
    first = watch.watch_stage(world.platform(), RUN, 0)
    moved = list(world.weights)
    world.clock.sleep(10)
    assert watch.watch_stage(world.platform(), RUN, 0) == first
    assert world.weights == moved


def test_what_the_guard_convicts_by_between_two_stages_is_in_the_record(world: World, deployed: ModelVersion) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, errors=0.5)
    release = stand_guard(world.platform(), RUN)
    assert (release.state, world.weight) == (State.ROLLED_BACK, 0)
    assert release.tripped
    assert release.tripped.evidence
    assert release.tripped.reason == release.reason


def dies_after(world: World, sleeps: int) -> Iterator[None]:
    left = [sleeps]

    def count(_: float) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Dies

    world.clock.on_sleep.append(count)
    yield
    world.clock.on_sleep.remove(count)


@pytest.mark.parametrize("sleeps", [1, 3, 6])
def test_a_watch_that_was_killed_and_goes_on_elsewhere_decides_as_if_never_killed(plan: Plan, tmp_path: Path, sleeps: int) -> None:
    decisions = []
    for killed in (False, True):
        world = World(seed=5)
        world.has_stable()
        platform = world.platform()
        ledger.begin(platform, plan, RUN)
        ledger.change(platform, RUN, partial(replace, state=State.WATCHED))
        world.behaviours[2] = Behaviour(answer=2.0, errors=0.02)
        version = ModelVersion(2, "fake://2", "sha256:2")
        wanted = RunningPool(version)
        ledger.change(platform, RUN, lambda r, w=wanted: r.wanting(r.desired.with_pool(w).pointing(Track.CANARY, w.pool)))  # type: ignore[misc]
        platform.deployer.deploy(wanted, release_of(world).token)
        restore.restore(platform, RUN)
        if killed:
            killer = dies_after(world, sleeps)
            next(killer)
            with pytest.raises(Dies):
                watch.watch_stage(platform, RUN, 0)
            next(killer, None)
        decisions.append(watch.watch_stage(world.platform(), RUN, 0))
    assert decisions[0].decision is decisions[1].decision


def test_an_abort_during_the_watch_is_a_verdict_of_rollback(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()

    def abort(_: float) -> None:
        if world.weight:
            world.clock.on_sleep.remove(abort)
            rollback.roll_back(platform, RUN, "aborted by a person")

    world.clock.on_sleep.append(abort)
    verdict = watch.watch_stage(platform, RUN, 0)
    assert (verdict.decision, verdict.reason, world.weight) == (Decision.ROLLBACK, "aborted by a person", 0)


def test_the_guard_puts_the_weight_back_when_the_watcher_is_killed(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    held_by_the_dead(platform, "watch stage 0", 0)
    assert world.weight == 10
    ended = stand_guard(platform, RUN)
    assert (ended.state, world.weight, world.tracks) == (State.ROLLED_BACK, 0, {Track.STABLE: Pool(1)})
    assert "left alone" in ended.reason
    assert "failed" not in ended.reason
    waited = (ended.ended or world.clock.now()) - (ended.stage_began or world.clock.now())
    assert waited <= ended.plan.deploy.lease + 2 * ended.plan.stage.poll


def test_the_guard_tells_what_the_step_said_that_left_the_canary_alone(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    held_by_the_dead(platform, "watch stage 0", 0)
    ledger.failed(platform, RUN, MemoryError())
    reason = stand_guard(platform, RUN).reason
    assert reason.startswith(f"the canary was left alone: {RUN}: watch stage 0 did not renew its hold after ")
    assert reason.endswith(" UTC by its clock; a step had failed: MemoryError")


def test_a_step_that_was_killed_is_named_with_its_time(world: World, deployed: ModelVersion) -> None:
    held_by_the_dead(world.platform(), "watch stage 0", 0)
    ended = rollback.roll_back(world.platform(), RUN)
    assert ended
    said = "ended without a word: it was killed, perhaps for memory; see its log; it held the release until "
    assert ended.reason.startswith(f"the step `watch stage 0` {said}")
    assert ended.reason.endswith(" UTC by its clock")


def test_what_a_step_said_is_forgotten_once_a_step_goes_on(world: World, deployed: ModelVersion) -> None:
    ledger.failed(world.platform(), RUN, Unavailable("the bucket is away"))
    held_by_the_dead(world.platform(), "watch stage 0", 0)
    assert ledger.read_release(world.platform(), RUN).failure == ""


def test_the_guard_leaves_a_watched_release_alone(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    rounds = [0]

    def watcher(_: float) -> None:
        rounds[0] += 1
        if rounds[0] < 100:
            held_by_the_dead(platform, "watch stage 0")
        elif world.weight:
            rollback.roll_back(platform, RUN, "the test is over")

    held_by_the_dead(platform, "watch stage 0", 0)
    world.clock.on_sleep.append(watcher)
    assert stand_guard(platform, RUN).reason == "the test is over"
    assert release_of(world).judged is None


def test_between_two_steps_the_guard_watches_and_trips(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    watch.watch_stage(platform, RUN, 0)
    world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, errors=0.5)
    ended = stand_guard(platform, RUN)
    assert (ended.state, world.weight) == (State.ROLLED_BACK, 0)
    assert "error" in ended.reason


def timeline_of(world: World) -> Timeline:
    kept = checkpoint.load(world.platform(), release_of(world))
    assert kept is not None
    return checkpoint.read_timeline(world.platform(), RUN, kept)


def test_between_two_steps_the_guard_goes_on_with_the_same_judge(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    watch.watch_stage(platform, RUN, 0)
    before = timeline_of(world)
    polls = [0]

    def step_takes_over(_: float) -> None:
        polls[0] += 1
        if polls[0] == 4:
            held_by_the_dead(platform, "watch stage 1")
        if polls[0] == 6:
            rollback.roll_back(platform, RUN, "the test is over")

    world.clock.on_sleep.append(step_takes_over)
    stand_guard(platform, RUN)
    after = timeline_of(world)
    assert after.points[: len(before.points)] == before.points
    assert len(after.points) == len(before.points) + 4


def test_a_rollback_that_the_guard_decided_reaches_the_graph_as_a_verdict(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    watch.watch_stage(platform, RUN, 0)
    shift.trip(platform, RUN, "the guard saw errors")
    verdict = watch.watch_stage(platform, RUN, 1)
    assert (verdict.decision, verdict.reason, world.weight) == (Decision.ROLLBACK, "the guard saw errors", 0)


def test_a_watcher_of_a_release_that_is_not_its_own_is_refused(world: World, deployed: ModelVersion) -> None:
    with pytest.raises(Held, match="'run-1', not 'run-2'"):
        watch.watch_stage(world.platform(), "run-2", 0)


def test_a_canary_is_never_without_holder_or_guard_while_it_has_traffic(world: World, deployed: ModelVersion) -> None:
    alone = []

    def look(_: float) -> None:
        release = release_of(world)
        held = release.holder is not None and release.holder.until > world.clock.now() - timedelta(seconds=5)
        if world.weight and not held:
            alone.append(world.clock.now())

    world.clock.on_sleep.append(look)
    watch.watch_stage(world.platform(), RUN, 0)
    watch.watch_stage(world.platform(), RUN, 1)
    assert alone == []


def test_a_canary_none_of_whose_servers_serves_is_rolled_back_within_one_poll(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    gone = []

    def crash(_: float) -> None:
        if world.weight and not gone:
            gone.append(world.clock.now())
            world.processes[Pool(deployed.number)].behaviour = Behaviour(loads=False)

    world.clock.on_sleep.append(crash)
    verdict = watch.watch_stage(platform, RUN, 0)
    assert (verdict.decision, world.weight) == (Decision.ROLLBACK, 0)
    assert verdict.reason == "no server of version 2 serves: the load ended in an error"
    assert verdict.at is not None
    assert verdict.at - gone[0] <= release_of(world).plan.stage.poll + timedelta(seconds=watch.SECOND_LOOK)


def test_one_restart_of_a_canarys_server_is_no_alarm_and_is_an_event_of_the_release(world: World, deployed: ModelVersion) -> None:
    """Its counters begin anew; the next server answers before anybody looks twice."""
    crashed: list[Process] = []

    def crash(_: float) -> None:
        process = world.process(Track.CANARY)
        if world.weight and process and process.ok > 250 and not crashed:
            crashed.append(process)
            world.processes[Pool(deployed.number)] = Process(process.behaviour)

    world.clock.on_sleep.append(crash)
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    watch.watch_stage(world.platform(), RUN, 1)
    told = [one.what for one in release_of(world).events if "restarted" in one.what]
    assert told == ["a server of the candidate has restarted (restarts of one server: candidate 1, stable 0)"]


def test_a_split_that_somebody_changed_by_hand_is_rolled_back(world: World, deployed: ModelVersion) -> None:
    def by_hand(_: float) -> None:
        if world.weight == 10:
            world.traffic = Traffic(canary=80)

    world.clock.on_sleep.append(by_hand)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, world.weight) == (Decision.ROLLBACK, 0)
    assert verdict.reason == "the traffic in force is 80 % canary, the release set 10 %: it was changed, and not by this release"


def test_a_route_that_somebody_led_elsewhere_is_rolled_back(world: World, deployed: ModelVersion) -> None:
    """The canary's share cannot be told then: that is the same as another share, and no outage."""

    def by_hand(_: float) -> None:
        if world.weight == 10:
            world.diverted = "old-model"

    world.clock.on_sleep.append(by_hand)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, world.weight, world.diverted) == (Decision.ROLLBACK, 0, "")
    assert verdict.reason == "the route leads to old-model: it was changed, and not by this release"


def test_a_router_that_is_away_is_nobodys_change(world: World, deployed: ModelVersion) -> None:
    platform, away = world.platform(), [False]

    class Router:
        def traffic(self) -> Traffic:
            if away[0]:
                raise Unavailable("the API server does not answer")
            return platform.router.traffic()

        def __getattr__(self, name: str) -> object:
            return getattr(platform.router, name)

    def goes(_: float) -> None:
        away[0] = world.weight > 0

    world.clock.on_sleep.append(goes)
    assert "not by this release" not in watch.watch_stage(replace(platform, router=Router()), RUN, 0).reason
    assert away == [True]


def test_a_watch_writes_the_record_when_a_third_of_the_lease_is_over_and_not_at_every_poll(world: World, deployed: ModelVersion) -> None:
    before, began = world.records.writes, world.clock.now()
    watch.watch_stage(world.platform(), RUN, 0)
    release = release_of(world)
    polls = (world.clock.now() - began) / release.plan.stage.poll
    renewals = (world.clock.now() - began) / (release.plan.deploy.lease / 3)
    assert world.records.writes - before <= renewals + 5 < polls + 5


def test_after_a_promotion_the_guard_removes_the_previous_version_when_its_time_is_over(world: World, at_last_stage: ModelVersion) -> None:
    platform = world.platform()
    promoted = promote.promote(platform, RUN)
    assert Pool(1) in world.processes
    stand_guard(platform, RUN)
    assert world.clock.now() - (promoted.ended or promoted.began) >= promoted.plan.deploy.keep_previous
    assert (set(world.processes), world.guards, world.tracks) == (
        {Pool(at_last_stage.number)},
        [],
        {Track.STABLE: Pool(at_last_stage.number)},
    )


def test_a_guard_that_saw_nothing_does_not_blame_the_watcher_for_that_time(world: World, deployed: ModelVersion) -> None:
    """Neither of them reached the record for longer than a lease; the watcher is back a moment after the guard."""
    platform = world.platform()
    held_by_the_dead(platform, "watch stage 0", 0)
    beat, back = world.records.beat, world.clock.now() + timedelta(seconds=90)

    def silent(run_id: str, sent: Beat) -> Stored:
        if world.clock.now() < back:
            raise Unavailable("the API server does not answer")
        return beat(run_id, sent)

    def watcher(_: float) -> None:
        if back < world.clock.now() < back + timedelta(seconds=120):
            held_by_the_dead(platform, "watch stage 0")

    world.records.beat = silent  # type: ignore[method-assign]
    world.guard_reports = False
    world.clock.on_sleep.append(watcher)
    ended = stand_guard(platform, RUN)
    assert ended.ended is not None
    assert ended.ended > back + timedelta(seconds=120), "it was rolled back when the watcher stopped for good"
