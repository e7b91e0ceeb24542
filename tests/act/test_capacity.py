"""Servers before traffic: at each rise the canary, and the baseline, have the servers that their share needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from tests.act.conftest import RUN, manifest_of, model, release_of
from tests.act.dying import Dies
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import capacity, deploy, ledger, push, restore, rollback, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Finding, Intent, ModelVersion, Pool, Request, Role, RunningPool, Traffic
from tfcanary.core.errors import GaveUp, Held
from tfcanary.core.plan import Plan, ServingPlan
from tfcanary.core.record import State
from tfcanary.run import watch

__all__ = ["model"]

CANARY, BASELINE = Pool(2), Pool(1, Role.BASELINE)
Start = Callable[[Plan], ModelVersion]


@pytest.fixture
def start(world: World, model: Path) -> Start:
    """Version 2 runs at weight 0 beside a stable version of twelve servers."""
    world.counts[Pool(1)] = 12

    def started(plan: Plan) -> ModelVersion:
        ledger.begin(world.platform(), plan, RUN)
        version = push.push(world.platform(), model, manifest_of(model))
        world.behaviours[version.number] = Behaviour(answer=2.0)
        look = deploy.deploy_canary(world.platform(), RUN, version, lambda: iter([Request({"instances": [[1.0]]})] * 50))
        assert look.finding is Finding.PASS
        return version

    return started


def to_stage(world: World, stage: int) -> None:
    with holding(world.platform(), RUN, f"watch stage {stage}") as hold:
        shift.shift(hold, stage)


def test_no_server_of_the_canary_carries_more_than_one_of_stables_up_to_half_of_the_traffic() -> None:
    for stable in range(1, 40):
        for weight in range(1, 51):
            servers = ServingPlan().canary_servers(weight, stable)
            assert weight / servers <= (100 - weight) / stable, "as much load for each as stable's have"
            assert servers == 1 or weight / (servers - 1) > (100 - weight) / stable, "and not one more than that"
            assert servers >= ceil(stable * weight / 100)
        assert {ServingPlan().canary_servers(weight, stable) for weight in range(50, 100)} == {stable}
    assert ServingPlan(canary_replicas=3).canary_servers(10, 10) == 3
    assert ServingPlan(canary_replicas=3).canary_servers(0, 0) == 3


def test_servers_come_before_each_rise_and_never_go(world: World, plan: Plan, start: Start) -> None:
    start(replace(plan, weights=(5, 25, 50, 60)))
    had = [world.counts[CANARY]]
    at_rise: list[tuple[int, int]] = []
    set_traffic = type(world.platform().router).set_traffic

    def counted(router: object, traffic: Traffic, intent: Intent) -> None:
        if not traffic.lowers(world.traffic):
            at_rise.append((traffic.canary, world.counts[CANARY]))
        set_traffic(router, traffic, intent)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(world.platform().router), "set_traffic", counted)
        for stage in range(4):
            to_stage(world, stage)
            had.append(world.counts[CANARY])
        shift.set_weight(world.platform(), RUN, 10)
    assert at_rise == [(5, 1), (25, 4), (50, 12), (60, 12)]
    assert had == [1, 1, 4, 12, 12]
    assert (world.weight, world.counts[CANARY]) == (10, 12)
    assert release_of(world).desired.pool(CANARY) == RunningPool(release_of(world).candidate, least=12)  # type: ignore[arg-type]
    assert restore.differences(world.platform(), ledger.read(world.platform())) == ()


def test_servers_of_the_first_stage_come_up_with_the_canary_and_are_warmed_with_it(world: World, plan: Plan, start: Start) -> None:
    start(replace(plan, weights=(25, 50)))
    assert world.counts[CANARY] == 4


def test_a_baseline_grows_with_the_canary(world: World, plan: Plan, start: Start) -> None:
    start(replace(plan, weights=(10, 25, 60), deploy=replace(plan.deploy, baseline=True)))
    had = []
    for stage in range(3):
        to_stage(world, stage)
        had.append((world.counts[CANARY], world.counts[BASELINE]))
    assert had == [(2, 2), (4, 4), (12, 4)], "above 50 % it gets nothing"


def test_a_rise_counts_the_servers_that_stable_has_by_then(world: World, plan: Plan, start: Start) -> None:
    start(plan)
    to_stage(world, 0)
    world.counts[Pool(1)] = 30
    world.room[Pool(1)] = 20
    to_stage(world, 1)
    assert world.counts[CANARY] == 20, "and no more than take requests"


def test_servers_that_do_not_become_ready_end_the_stage_undecided(world: World, plan: Plan, start: Start) -> None:
    start(plan)
    to_stage(world, 0)
    world.room[CANARY] = 5
    began = world.clock.now()
    verdict = watch.watch_stage(world.platform(), RUN, 1)
    assert (verdict.undecided, world.weight, release_of(world).state) == (True, 0, State.ROLLING_BACK)
    assert verdict.reason == (
        "undecided: 50 % needs 12 servers of version 2 beside stable's 12: version 2 was not AVAILABLE within 10m, "
        "5 of 12 servers were ready: 0/3 nodes are available"
    )
    assert world.clock.now() - began >= plan.deploy.ready_timeout
    assert max(world.weights) == 10
    assert not release_of(world).failed


def test_a_server_that_will_never_serve_ends_the_wait_at_once(world: World, plan: Plan, start: Start) -> None:
    start(plan)
    to_stage(world, 0)
    world.processes[CANARY].behaviour = Behaviour(loads=False)
    began = world.clock.now()
    with holding(world.platform(), RUN, "watch stage 1") as hold, pytest.raises(GaveUp, match="will not serve version 2"):
        shift.shift(hold, 1)
    assert (world.clock.now() - began).total_seconds() < 10


def test_a_step_that_was_killed_before_it_started_the_servers_starts_them_when_it_runs_again(
    world: World, plan: Plan, start: Start
) -> None:
    start(plan)

    def dies(*_: object) -> None:
        raise Dies

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "deploy_pool", dies)
        with pytest.raises(Dies):
            to_stage(world, 1)
    assert (world.counts[CANARY], world.weight) == (2, 0)
    to_stage(world, 1)
    assert (world.counts[CANARY], world.weight) == (12, 50)


def test_no_server_is_started_after_the_decision(world: World, plan: Plan, start: Start) -> None:
    start(plan)
    with holding(world.platform(), RUN, "watch stage 1") as hold:
        shift.trip(world.platform(), RUN, "errors")
        with pytest.raises(Held, match="no server of it is started"):
            capacity.provide(hold, Traffic(canary=50))
    assert world.counts[CANARY] == 2


def test_what_somebody_else_changes_while_servers_come_up_is_still_seen(world: World, plan: Plan, start: Start) -> None:
    """The route carries the intent of the larger pool, by which its own changes are told from other people's."""
    start(plan)
    to_stage(world, 0)
    world.room[CANARY] = 5
    with holding(world.platform(), RUN, "watch stage 1") as hold, pytest.raises(GaveUp):
        shift.shift(hold, 1)
    stamp = world.platform().router.stamp()
    assert stamp is not None
    assert (stamp.number, world.weight) == (release_of(world).intent, 10)


def test_under_a_router_that_divides_by_servers_nobody_else_changes_their_number(world: World, plan: Plan, start: Start) -> None:
    start(replace(plan, traffic=replace(plan.traffic, router="replicas")))
    to_stage(world, 1)
    assert (world.counts[CANARY], world.weight) == (1, 50)


def test_servers_that_were_started_for_a_share_go_with_the_release(world: World, plan: Plan, start: Start) -> None:
    start(plan)
    to_stage(world, 1)
    rollback.roll_back(world.platform(), RUN, "aborted")
    deploy_calls = len(world.sizes)
    restore.restore(world.platform(), RUN)
    assert len(world.sizes) == deploy_calls, "nobody makes a pool larger that gets no traffic"
    assert world.unserved == 0
