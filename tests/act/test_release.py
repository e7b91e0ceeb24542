"""Deploy, shift, promote and roll back: users always find a server, and the record always tells the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.act.conftest import RUN, release_of
from tests.act.dying import Dies, dying
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import deploy, finish, ledger, promote, rollback, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Finding, Intent, ModelVersion, Pool, Request, Track, Traffic
from tfcanary.core.errors import GaveUp, Held, Refused
from tfcanary.core.plan import Plan
from tfcanary.core.record import State


def test_a_canary_comes_up_without_traffic_and_with_a_guard(world: World, deployed: ModelVersion) -> None:
    release = release_of(world)
    assert (world.weight, world.tracks[Track.CANARY], release.state) == (0, Pool(deployed.number), State.WATCHED)
    assert release.beat is not None
    assert release.looks["deploy"].finding is Finding.PASS


def test_a_version_that_does_not_load_is_a_finding_with_its_reason(world: World, pushed: ModelVersion) -> None:
    world.behaviours[pushed.number] = Behaviour(loads=False)
    look = deploy.deploy_canary(world.platform(), RUN, pushed, lambda: iter(()))
    assert look.finding is Finding.FAIL
    assert "the load ended in an error" in look.evidence[0].reason
    assert release_of(world).state is State.OPEN


def test_without_a_guard_nothing_goes_on(world: World, pushed: ModelVersion) -> None:
    world.guard_reports = False
    with pytest.raises(GaveUp, match="guard"):
        deploy.deploy_canary(world.platform(), RUN, pushed, lambda: iter(()))
    assert world.weight == 0


def test_a_version_whose_latency_never_settles_is_a_warning(world: World, pushed: ModelVersion) -> None:
    world.behaviours[pushed.number] = Behaviour(answer=2.0)

    def slower(_: float) -> None:
        process = world.processes.get(Pool(pushed.number))
        if process:
            process.behaviour = replace(process.behaviour, seconds=process.behaviour.seconds * 1.03)

    world.clock.on_sleep.append(slower)
    look = deploy.deploy_canary(world.platform(), RUN, pushed, lambda: iter([Request({"instances": [[1.0]]})] * 50))
    assert (look.finding, look.evidence[1].finding) == (Finding.PASS, Finding.WARN)


def test_a_weight_needs_a_live_guard(world: World, deployed: ModelVersion) -> None:
    world.guard_reports = False
    with holding(world.platform(), RUN, "watch") as hold, pytest.raises(GaveUp, match="did not say within 10m that it can read"):
        shift.shift(hold, 0)
    assert world.weight == 0


def test_a_weight_needs_a_live_holder(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    with holding(platform, RUN, "the first") as first:
        with holding(platform, RUN, "the second"):
            world.clock.sleep(400)
        with pytest.raises(Held, match="is held by run-1: the second now, not by the first"):
            shift.shift(first, 0)
    assert world.weight == 0


def test_a_weight_may_not_rise_after_the_decision_fell(world: World, deployed: ModelVersion) -> None:
    shift.trip(world.platform(), RUN, "errors")
    with holding(world.platform(), RUN, "watch") as hold, pytest.raises(Held, match="rolling back"):
        shift.shift(hold, 0)


def test_a_weight_that_was_raised_while_the_decision_fell_goes_back(
    world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard trips between the watcher's write to the record and its call of the router."""
    platform = world.platform()
    set_traffic = type(platform.router).set_traffic

    def late(router: object, traffic: Traffic, intent: Intent) -> None:
        if traffic.canary > 0:
            monkeypatch.setattr(type(platform.router), "set_traffic", set_traffic)
            shift.trip(platform, RUN, "the guard saw errors")
        set_traffic(router, traffic, intent)  # type: ignore[arg-type]

    monkeypatch.setattr(type(platform.router), "set_traffic", late)
    with holding(platform, RUN, "watch") as hold, pytest.raises(Held):
        shift.shift(hold, 0)
    assert world.weight == 0


def test_promotion_moves_traffic_without_a_restart_and_without_a_gap(world: World, at_last_stage: ModelVersion) -> None:
    judged = world.processes[Pool(at_last_stage.number)]
    promote.promote(world.platform(), RUN)
    world.clock.sleep(10)
    record = ledger.read(world.platform())
    assert record.stable == at_last_stage
    assert [v.number for v in record.previous] == [1]
    assert world.processes[Pool(at_last_stage.number)] is judged
    assert (world.weight, world.tracks, world.unserved) == (0, {Track.STABLE: Pool(at_last_stage.number)}, 0)


def test_promotion_copies_the_version_to_the_stable_bucket_and_verifies_it(world: World, at_last_stage: ModelVersion) -> None:
    world.stable_storage = FakeStorage()
    promote.promote(world.platform(), RUN)
    prefix = f"digits/{at_last_stage.number}/"
    assert {b.name: b.checksum for b in world.stable_storage.list()} == {b.name: b.checksum for b in world.storage.list(prefix)}
    order = {b.name: b.generation for b in world.stable_storage.list()}
    assert max(order, key=order.__getitem__) == f"{prefix}saved_model.pb"


def test_other_bytes_in_the_stable_bucket_stop_the_promotion_before_it_begins(world: World, at_last_stage: ModelVersion) -> None:
    world.stable_storage = FakeStorage()
    world.stable_storage.write(f"digits/{at_last_stage.number}/saved_model.pb", b"somebody else's")
    with pytest.raises(Refused, match=r"saved_model\.pb: the bucket holds other bytes"):
        promote.promote(world.platform(), RUN)
    assert (world.tracks[Track.STABLE], release_of(world).state) == (Pool(1), State.WATCHED)


def test_promotion_needs_the_judges_word(world: World, deployed: ModelVersion) -> None:
    with pytest.raises(Refused, match="the judge said nothing yet"):
        promote.promote(world.platform(), RUN)


def test_promotion_of_bytes_that_were_overwritten_is_refused(world: World, at_last_stage: ModelVersion) -> None:
    world.storage.write(f"digits/{at_last_stage.number}/saved_model.pb", b"evil")
    with pytest.raises(Refused, match="was overwritten"):
        promote.promote(world.platform(), RUN)
    assert world.tracks[Track.STABLE] == Pool(1)


@pytest.mark.parametrize("at", range(1, 9))
def test_promotion_killed_at_any_write_ends_the_same_when_run_again(world: World, at_last_stage: ModelVersion, at: int) -> None:
    try:
        promote.promote(dying(world, at), RUN)
    except Dies:
        world.clock.sleep(5)
        promote.promote(world.platform(), RUN)
    world.clock.sleep(5)
    assert ledger.read(world.platform()).stable == at_last_stage
    assert (world.weight, world.tracks, world.unserved) == (0, {Track.STABLE: Pool(at_last_stage.number)}, 0)


@pytest.mark.parametrize("at", range(1, 9))
def test_a_promotion_that_died_can_be_rolled_back(world: World, at_last_stage: ModelVersion, at: int) -> None:
    try:
        promote.promote(dying(world, at), RUN)
    except Dies:
        world.clock.sleep(5)
        ended = rollback.roll_back(world.platform(), RUN, "aborted")
        world.clock.sleep(5)
        assert ended is not None
        assert ended.state is State.ROLLED_BACK or ledger.read(world.platform()).stable == at_last_stage
        stable = ledger.read(world.platform()).stable
        assert stable is not None
        assert (world.weight, world.tracks.get(Track.STABLE), world.unserved) == (0, Pool(stable.number), 0)


@pytest.mark.parametrize("at", range(1, 7))
def test_rollback_killed_at_any_write_ends_the_same_when_run_again(world: World, at_last_stage: ModelVersion, at: int) -> None:
    try:
        rollback.roll_back(dying(world, at), RUN, "errors")
    except Dies:
        rollback.roll_back(world.platform(), RUN, "errors")
    world.clock.sleep(5)
    release = release_of(world)
    assert (release.state, release.reason, release.weight) == (State.ROLLED_BACK, "errors", 0)
    assert (world.weight, world.tracks, world.unserved) == (0, {Track.STABLE: Pool(1)}, 0)
    assert Pool(at_last_stage.number) in world.processes, "no call that is still on its way meets a track without servers"
    finish.let_go(world.platform(), RUN)
    assert set(world.processes) == {Pool(1)}


def test_rollback_moves_traffic_before_it_removes_anything(world: World, at_last_stage: ModelVersion) -> None:
    rollback.roll_back(world.platform(), RUN, "errors")
    assert world.weights[-1] == 0
    assert world.unserved == 0


def test_rollback_may_be_repeated(world: World, at_last_stage: ModelVersion) -> None:
    once = rollback.roll_back(world.platform(), RUN, "errors")
    writes = world.records.writes
    assert rollback.roll_back(world.platform(), RUN, "another reason") == once
    assert world.records.writes == writes


def test_rollback_after_a_promotion_changes_nothing(world: World, at_last_stage: ModelVersion) -> None:
    promote.promote(world.platform(), RUN)
    ended = rollback.roll_back(world.platform(), RUN)
    assert ended is not None
    assert ended.state is State.PROMOTED
    assert ledger.read(world.platform()).stable == at_last_stage


def test_rollback_of_another_runs_release_does_nothing(world: World, at_last_stage: ModelVersion) -> None:
    assert rollback.roll_back(world.platform(), "run-2") is None
    assert world.weight == 50


def test_a_release_that_a_gate_refused_ends_as_refused_with_the_gates_reason(world: World, pushed: ModelVersion) -> None:
    world.behaviours[pushed.number] = Behaviour(loads=False)
    deploy.deploy_canary(world.platform(), RUN, pushed, lambda: iter(()))
    ended = rollback.roll_back(world.platform(), RUN)
    assert ended is not None
    assert (ended.state, ended.failed) == (State.REFUSED, True)
    assert "the load ended in an error" in ended.reason


class WatchedRouter:
    """A router that notes, at each write, which tracks there are."""

    def __init__(self, world: World) -> None:
        self.world, self.router, self.tracks = world, world.platform().router, list[set[Track]]()

    def set_traffic(self, traffic: Traffic, intent: Intent) -> None:
        self.tracks.append({*self.world.tracks})
        self.router.set_traffic(traffic, intent)

    def __getattr__(self, name: str) -> object:
        return getattr(self.router, name)


@pytest.mark.parametrize("loads", [True, False])
def test_a_first_release_writes_no_route_before_there_is_a_stable_track(pushed_first: tuple[World, ModelVersion], loads: bool) -> None:
    world, version = pushed_first
    world.behaviours[version.number] = Behaviour(answer=1.0, loads=loads)
    router = WatchedRouter(world)
    platform = replace(world.platform(), router=router)
    deploy.deploy_canary(platform, RUN, version, lambda: iter(()))
    rollback.roll_back(platform, RUN)
    assert release_of(world).state is (State.PROMOTED if loads else State.REFUSED)
    assert router.tracks == ([{Track.STABLE}] if loads else [])


def test_a_first_release_gets_all_traffic_only_with_bootstrap(plan: Plan, pushed_first: tuple[World, ModelVersion]) -> None:
    world, version = pushed_first
    deploy.deploy_canary(world.platform(), RUN, version, lambda: iter(()))
    world.clock.sleep(5)
    record = ledger.read(world.platform())
    assert record.stable == version
    assert (world.weight, world.tracks, world.unserved) == (0, {Track.STABLE: Pool(version.number)}, 0)


def test_a_first_release_that_does_not_load_leaves_nothing(plan: Plan, pushed_first: tuple[World, ModelVersion]) -> None:
    world, version = pushed_first
    world.behaviours[version.number] = Behaviour(loads=False)
    deploy.deploy_canary(world.platform(), RUN, version, lambda: iter(()))
    ended = rollback.roll_back(world.platform(), RUN)
    assert ended is not None
    finish.let_go(world.platform(), RUN)
    assert (ended.state, world.processes, world.tracks) == (State.REFUSED, {}, {})


def test_a_router_that_takes_longer_than_a_lease_does_not_lose_the_hold(
    world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = world.platform()
    set_traffic = type(platform.router).set_traffic
    lasts = release_of(world).plan.deploy.handover

    def slow(router: object, traffic: Traffic, intent: Intent) -> None:
        for _ in range(30):
            world.clock.sleep(lasts.total_seconds() / 10)
        set_traffic(router, traffic, intent)  # type: ignore[arg-type]

    monkeypatch.setattr(type(platform.router), "set_traffic", slow)
    with holding(platform, RUN, "watch stage 0") as hold:
        shift.shift(hold, 0)
        assert hold.alive
    assert world.weight == 10
