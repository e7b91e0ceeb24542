"""A release with a baseline: fresh servers of the stable version get as much as the canary, and latency is compared with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.act.conftest import RUN, manifest_of, model, release_of
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import deploy, finish, ledger, promote, push, restore, rollback, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Decision, Finding, ModelVersion, Pool, Request, Role, RunningPool, Track, Traffic, Verdict
from tfcanary.core.errors import Held
from tfcanary.core.plan import Plan
from tfcanary.core.record import State
from tfcanary.run import watch

__all__ = ["model"]

BASELINE = Pool(1, Role.BASELINE)
Start = Callable[..., ModelVersion]


def with_baseline(plan: Plan, **changes: object) -> Plan:
    return replace(plan, deploy=replace(plan.deploy, baseline=True), **changes)  # type: ignore[arg-type]


@pytest.fixture
def start(world: World, plan: Plan, model: Path) -> Start:
    """Version 2 runs at weight 0, warm and guarded, by a plan with or without a baseline."""

    def started(given: Plan | None = None) -> ModelVersion:
        ledger.begin(world.platform(), given or with_baseline(plan), RUN)
        version = push.push(world.platform(), model, manifest_of(model))
        world.behaviours[version.number] = Behaviour(answer=2.0)
        look = deploy.deploy_canary(world.platform(), RUN, version, lambda: iter([Request({"instances": [[1.0]]})] * 50))
        assert look.finding is Finding.PASS
        return version

    return started


def at_last_stage(world: World) -> None:
    for stage in (0, 1):
        with holding(world.platform(), RUN, f"watch stage {stage}") as hold:
            shift.shift(hold, stage)
    verdict = Verdict(Decision.PROMOTE, "every criterion passed", stage=1, weight=50)
    ledger.change(world.platform(), RUN, lambda r: replace(r, verdicts=(verdict,)))


def test_the_baseline_comes_up_with_the_canary_and_is_of_its_size(world: World, plan: Plan, start: Start) -> None:
    start(with_baseline(plan, serving=replace(plan.serving, replicas=9, canary_replicas=3)))
    assert world.tracks == {Track.STABLE: Pool(1), Track.CANARY: Pool(2), Track.BASELINE: BASELINE}
    assert {(one.pool, one.least) for one in world.sizes} == {(Pool(2), 3), (BASELINE, 3)}
    assert world.traffic == Traffic()


def test_its_share_is_the_canarys_at_each_stage_where_both_fit(world: World, plan: Plan, start: Start) -> None:
    start(with_baseline(plan, weights=(10, 50, 60)))
    found = []
    for stage in range(3):
        with holding(world.platform(), RUN, f"watch stage {stage}") as hold:
            shift.shift(hold, stage)
        found.append(world.traffic)
    assert found == [Traffic(canary=10, baseline=10), Traffic(canary=50, baseline=50), Traffic(canary=60)]


def test_its_share_rises_for_the_live_holder_alone(world: World, start: Start) -> None:
    start()
    at_last_stage(world)
    world.traffic = Traffic(canary=50, baseline=10)
    restore.restore(world.platform(), RUN)
    assert world.traffic == Traffic(canary=50, baseline=10)
    with holding(world.platform(), RUN, "watch stage 1") as hold:
        restore.restore(world.platform(), RUN, hold)
    assert world.traffic == Traffic(canary=50, baseline=50)


def test_a_weight_by_hand_whose_baseline_would_rise_needs_a_guard_that_can_watch(world: World, plan: Plan, start: Start) -> None:
    start(with_baseline(plan, weights=(10, 60)))
    at_last_stage(world)
    raised: list[int] = []
    awaited = shift.await_able_guard
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shift, "await_able_guard", lambda hold: (raised.append(1), awaited(hold))[1])
        shift.set_weight(world.platform(), RUN, 40)
        assert (world.traffic, len(raised)) == (Traffic(canary=40, baseline=40), 1)
        shift.set_weight(world.platform(), RUN, 20)
    assert (world.traffic, len(raised)) == (Traffic(canary=20, baseline=20), 1)


@pytest.mark.parametrize("end", ["promotion", "rollback", "abort before any traffic"])
def test_every_end_takes_the_baseline_away(world: World, start: Start, end: str) -> None:
    start()
    if end != "abort before any traffic":
        at_last_stage(world)
    if end == "promotion":
        assert promote.promote(world.platform(), RUN).state is State.PROMOTED
        assert BASELINE not in world.processes, "it is not kept as long as the previous version's servers"
    else:
        rollback.roll_back(world.platform(), RUN, "aborted")
        assert (world.traffic, BASELINE in world.processes) == (Traffic(), True), "a call to it may still be on its way"
        finish.let_go(world.platform(), RUN)
    assert BASELINE not in world.processes
    assert set(world.tracks) == {Track.STABLE}
    assert world.unserved == 0
    assert restore.differences(world.platform(), ledger.read(world.platform())) == ()


def test_what_an_earlier_release_left_of_a_baseline_is_started_anew(world: World, plan: Plan, start: Start) -> None:
    start()
    rollback.roll_back(world.platform(), RUN, "aborted")
    old = world.processes[BASELINE]
    ledger.begin(world.platform(), with_baseline(plan), "run-2")
    deploy.deploy_canary(world.platform(), "run-2", ModelVersion(2, "fake://bucket/digits/2", pushed_digest(world)), lambda: iter(()))
    assert world.processes[BASELINE] is not old


def pushed_digest(world: World) -> str:
    return push.pushed(world.platform(), 2).digest


def test_latency_is_compared_with_the_baseline_and_not_with_busier_servers(world: World, plan: Plan, start: Start) -> None:
    """Both the canary and the baseline answer in twice the time of stable's servers, which are never idle."""
    start()
    for pool in (Pool(2), BASELINE):
        world.processes[pool].behaviour = replace(world.processes[pool].behaviour, seconds=0.020)
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    verdict = watch.watch_stage(world.platform(), RUN, 1)
    assert verdict.decision is Decision.PROMOTE
    assert world.unserved == 0
    errors = next(one for one in verdict.evidence if one.about == "metrics/errors")
    latency = next(one for one in verdict.evidence if one.about == "metrics/latency")
    assert float(errors.figures["stable requests"]) > 2 * float(latency.figures["stable requests"]), "errors count on both pools of stable"


def test_without_a_baseline_such_a_canary_is_convicted_with_a_warning(world: World, plan: Plan, start: Start) -> None:
    start(replace(plan, judge=replace(plan.judge, warmup_maximum=plan.judge.warmup)))
    world.processes[Pool(2)].behaviour = Behaviour(answer=2.0, seconds=0.020)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert verdict.decision is Decision.ROLLBACK
    assert "latency" in verdict.reason
    assert "`deploy.baseline: true` compares servers with the same load" in verdict.reason


def test_a_slow_canary_is_convicted_beside_a_baseline(world: World, start: Start) -> None:
    start()
    world.processes[Pool(2)].behaviour = Behaviour(answer=2.0, seconds=0.020)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, world.traffic) == (Decision.ROLLBACK, Traffic())
    assert "latency" in verdict.reason
    assert "warning" not in verdict.reason


def test_a_baseline_that_does_not_serve_ends_the_stage_undecided_and_convicts_nobody(world: World, start: Start) -> None:
    start()

    def dies(_: float) -> None:
        if world.traffic.baseline and BASELINE in world.processes:
            del world.processes[BASELINE]

    world.clock.on_sleep.append(dies)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, verdict.undecided, world.traffic) == (Decision.ROLLBACK, True, Traffic())
    assert verdict.reason == "undecided: no server of version 1 (baseline) serves: none runs"
    assert not release_of(world).failed


def test_a_first_release_has_no_baseline(plan: Plan, model: Path) -> None:
    world = World()
    ledger.begin(world.platform(), with_baseline(plan, bootstrap=True), RUN)
    version = push.push(world.platform(), model, manifest_of(model))
    deploy.deploy_canary(world.platform(), RUN, version, lambda: iter(()))
    assert (set(world.processes), release_of(world).state) == ({Pool(1)}, State.PROMOTED)


def test_no_baseline_is_started_for_a_release_that_was_aborted(world: World, plan: Plan, start: Start) -> None:
    ledger.begin(world.platform(), with_baseline(plan), RUN)
    rollback.roll_back(world.platform(), RUN, "aborted")
    with pytest.raises(Held), holding(world.platform(), RUN, "deploy") as hold:
        deploy.deploy_pool(hold, RunningPool(ModelVersion(1, "fake://1", "sha256:1"), Role.BASELINE), release_of(world).token)
    assert BASELINE not in world.processes
