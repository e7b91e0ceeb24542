"""Autoscalers in a release: the canary's least from its weight, stable held while a rollback may need it, and let go at every end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.act.conftest import RUN, manifest_of, model, release_of
from tests.act.dying import Dies
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import deploy, finish, ledger, promote, push, restore, rollback, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Decision, ModelVersion, Pool, Request, Scaling, Verdict
from tfcanary.core.plan import Plan, ScalingPlan
from tfcanary.core.record import State

__all__ = ["model"]

STABLE, CANARY = Pool(1), Pool(2)
FREE, HELD = Scaling(3, held=False), Scaling(3, held=True)
Start = Callable[[], ModelVersion]


@pytest.fixture
def start(world: World, plan: Plan, model: Path) -> Start:
    """Version 2 runs at weight 0 beside eight servers of stable, whose autoscaler keeps at least three."""
    world.counts[STABLE] = 8
    world.autoscalers = {STABLE: FREE}

    def started() -> ModelVersion:
        ledger.begin(world.platform(), replace(plan, weights=(20, 50), scaling=ScalingPlan(max=20, min=3)), RUN)
        version = push.push(world.platform(), model, manifest_of(model))
        world.behaviours[version.number] = Behaviour(answer=2.0)
        deploy.deploy_canary(world.platform(), RUN, version, lambda: iter([Request({"instances": [[1.0]]})] * 50))
        return version

    return started


def scaling(world: World, pool: Pool) -> Scaling | None:
    return (world.autoscalers or {}).get(pool)


def to_stage(world: World, stage: int) -> None:
    with holding(world.platform(), RUN, f"watch stage {stage}") as hold:
        shift.shift(hold, stage)


def at_last_stage(world: World) -> None:
    to_stage(world, 0)
    to_stage(world, 1)
    verdict = Verdict(Decision.PROMOTE, "every criterion passed", stage=1, weight=50)
    ledger.change(world.platform(), RUN, lambda r: replace(r, verdicts=(verdict,)))


def test_stable_is_held_before_any_traffic_and_the_canarys_least_follows_its_weight(world: World, start: Start) -> None:
    start()
    assert (world.weight, scaling(world, STABLE), scaling(world, CANARY)) == (0, HELD, Scaling(2, held=False))
    to_stage(world, 0)
    to_stage(world, 1)
    assert (scaling(world, STABLE), scaling(world, CANARY)) == (HELD, Scaling(8, held=False))


@pytest.mark.parametrize("stage", [-1, 0, 1])
def test_a_rollback_lets_stable_go(world: World, start: Start, stage: int) -> None:
    start()
    for one in range(stage + 1):
        to_stage(world, one)
    rollback.roll_back(world.platform(), RUN, "aborted")
    assert scaling(world, STABLE) == FREE
    finish.let_go(world.platform(), RUN)
    assert scaling(world, CANARY) is None


def test_a_promotion_keeps_as_many_as_stable_has_until_its_end_and_lets_both_go_then(world: World, start: Start) -> None:
    start()
    at_last_stage(world)
    seen = []
    world.clock.on_sleep.append(lambda _: seen.append((release_of(world).state, scaling(world, CANARY), scaling(world, STABLE))))
    assert promote.promote(world.platform(), RUN).state is State.PROMOTED
    assert {(canary, stable) for state, canary, stable in seen if not state.ended} <= {(Scaling(8, held=False), HELD)}
    assert (scaling(world, CANARY), scaling(world, STABLE)) == (FREE, FREE)


@pytest.mark.parametrize("moves", range(6))
def test_an_end_that_was_killed_at_any_move_lets_stable_go_when_somebody_looks_again(
    world: World, start: Start, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    start()
    at_last_stage(world)
    left = [moves]
    moved = restore._Work._moved

    def dying(*arguments: object) -> bool:
        left[0] -= 1
        if left[0] == -1:
            raise Dies
        return moved(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(restore._Work, "_moved", dying)
    try:
        rollback.roll_back(world.platform(), RUN, "aborted")
    except Dies:
        rollback.roll_back(world.platform(), RUN)
    assert (scaling(world, STABLE), world.weight, release_of(world).state) == (FREE, 0, State.ROLLED_BACK)


def test_what_somebody_else_tells_an_autoscaler_after_the_end_is_named_and_put_right(world: World, start: Start) -> None:
    start()
    rollback.roll_back(world.platform(), RUN, "aborted")
    assert world.autoscalers is not None
    world.autoscalers[STABLE] = Scaling(9, held=True)
    (found,) = restore.differences(world.platform(), ledger.read(world.platform()))
    assert found == "the autoscaler of version 1 keeps at least 9 servers, and makes the pool no smaller; wanted are 3"
    restore.restore(world.platform(), RUN)
    assert scaling(world, STABLE) == FREE


def test_without_autoscalers_nothing_is_told(world: World, start: Start) -> None:
    """Stable was deployed by a plan without `scaling`."""
    world.autoscalers = None
    start()
    to_stage(world, 0)
    rollback.roll_back(world.platform(), RUN, "aborted")
    assert not any(isinstance(what, tuple) for what in world.stamps)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"max": 2, "min": 3}, "min 3, max 2: must be at least 1 and rise in this order"),
        ({"max": 2, "min": 0}, "min 0, max 2"),
        ({"max": 2, "behavior": {"scaleDown": {"selectPolicy": "Min"}}}, "behavior.scaleDown.selectPolicy: is what a release sets"),
    ],
)
def test_scaling_that_cannot_be_is_refused_with_its_field(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ScalingPlan(**changed)  # type: ignore[arg-type]


def test_scaling_and_a_router_that_divides_by_pods_exclude_each_other(plan: Plan) -> None:
    with pytest.raises(ValueError, match=r"scaling, traffic\.router 'replicas': exclude each other"):
        replace(plan, scaling=ScalingPlan(max=4), traffic=replace(plan.traffic, router="replicas"))
