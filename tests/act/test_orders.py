"""What people say to a release: a pause stops no watch, nothing ends well without the approval that the plan asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.act.conftest import RUN, at_last_stage, deployed, end_as, model, pushed
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import ledger, orders, promote
from tfcanary.core import codec
from tfcanary.core.domain import Decision, ModelVersion, Pool
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Approval, NotifyPlan
from tfcanary.core.ports import Notice
from tfcanary.core.record import Release, State
from tfcanary.run import watch
from tfcanary.run.guard import stand_guard

__all__ = ["at_last_stage", "deployed", "model", "pushed"]


def now(world: World) -> Release:
    return ledger.read_release(world.platform(), RUN)


def asking(world: World, approval: Approval) -> None:
    """The plan of the release on the road asks for a person, and waits for five minutes."""
    patience = timedelta(minutes=5)
    ledger.change(
        world.platform(),
        RUN,
        lambda r: replace(r, plan=replace(r.plan, stage=replace(r.plan.stage, approval=approval, patience=patience))),
    )


def after(world: World, seconds: float, act: Callable[[], object]) -> None:
    """Do it once that much time has passed, while others wait."""
    at, done = world.clock.now() + timedelta(seconds=seconds), []

    def look(_: float) -> None:
        if not done and world.clock.now() >= at:
            done.append(act())

    world.clock.on_sleep.append(look)


def test_a_paused_stage_goes_on_being_watched_and_ends_after_the_resume(world: World, deployed: ModelVersion) -> None:
    platform, began = world.platform(), world.clock.now()
    after(world, 10, lambda: orders.pause(platform, "lunch"))
    after(world, 200, lambda: orders.resume(platform, "lunch is over"))
    verdict = watch.watch_stage(platform, RUN, 0)
    assert verdict.decision is Decision.ADVANCE
    assert world.clock.now() - began > timedelta(seconds=200)
    assert [e.what for e in now(world).events if "lunch" in e.what] == ["paused: lunch", "resumed: lunch is over"]


def test_a_paused_canary_that_turns_bad_is_rolled_back_at_once(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    after(world, 10, lambda: orders.pause(platform, "lunch"))

    def breaks() -> None:
        world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, errors=0.5)

    after(world, 60, breaks)
    assert watch.watch_stage(platform, RUN, 0).decision is Decision.ROLLBACK
    assert world.weight == 0


def test_a_pause_does_not_count_into_the_stages_maximum(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    watch.watch_stage(platform, RUN, 0)
    ledger.change(platform, RUN, lambda r: replace(r, plan=replace(r.plan, stage=replace(r.plan.stage, maximum=timedelta(seconds=120)))))
    after(world, 10, lambda: orders.pause(platform, "lunch"))
    after(world, 300, lambda: orders.resume(platform, "back"))
    assert watch.watch_stage(platform, RUN, 1).decision is Decision.PROMOTE


def test_no_weight_rises_between_two_stages_while_the_release_is_paused(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    watch.watch_stage(platform, RUN, 0)
    orders.pause(platform, "lunch")
    seen: list[int] = []
    after(world, 100, lambda: seen.append(world.weight))
    after(world, 150, lambda: orders.resume(platform, "back"))
    watch.watch_stage(platform, RUN, 1)
    assert (seen, world.weights) == ([10], [0, 0, 10, 50])


def test_a_promotion_waits_while_the_release_is_paused(world: World, at_last_stage: ModelVersion) -> None:
    platform, began = world.platform(), world.clock.now()
    orders.pause(platform, "lunch")
    after(world, 150, lambda: orders.resume(platform, "back"))
    assert promote.promote(platform, RUN).state is State.PROMOTED
    assert world.clock.now() - began >= timedelta(seconds=150)


def test_a_pause_that_nobody_ends_is_undecided_when_the_plans_patience_is_over(world: World, deployed: ModelVersion) -> None:
    asking(world, Approval.NONE)
    after(world, 10, lambda: orders.pause(world.platform(), "lunch"))
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, verdict.undecided, world.weight) == (Decision.ROLLBACK, True, 0)
    assert verdict.reason == "undecided: nobody resumed it within 5m"


def test_a_pause_between_two_stages_that_nobody_ends_is_rolled_back_too(world: World, deployed: ModelVersion) -> None:
    asking(world, Approval.NONE)
    watch.watch_stage(world.platform(), RUN, 0)
    orders.pause(world.platform(), "lunch")
    assert watch.watch_stage(world.platform(), RUN, 1).decision is Decision.ROLLBACK
    assert (now(world).state, world.weight) == (State.ROLLED_BACK, 0)


@pytest.mark.parametrize(("approval", "stages"), [(Approval.EVERY, [0, 1]), (Approval.PROMOTION, [1])])
def test_a_stage_that_went_well_waits_for_the_approval_that_the_plan_asks_for(
    world: World, deployed: ModelVersion, approval: Approval, stages: list[int]
) -> None:
    asking(world, approval)
    waited: list[int] = []

    def approves(_: float) -> None:
        release = now(world)
        if release.pause and world.clock.now() - release.pause.since > timedelta(minutes=2):
            waited.append(release.stage)
            orders.approve(world.platform(), "looks good")

    world.clock.on_sleep.append(approves)
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    assert watch.watch_stage(world.platform(), RUN, 1).decision is Decision.PROMOTE
    assert waited == stages


def test_a_stage_that_nobody_approves_is_undecided(world: World, deployed: ModelVersion) -> None:
    asking(world, Approval.EVERY)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, verdict.reason) == (Decision.ROLLBACK, "undecided: nobody approved it within 5m")


def test_a_rejection_rolls_back_with_its_reason(world: World, deployed: ModelVersion) -> None:
    asking(world, Approval.EVERY)
    after(world, 100, lambda: orders.reject(world.platform(), "the tone is wrong"))
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ROLLBACK
    assert (now(world).state, now(world).reason, world.weight) == (State.ROLLED_BACK, "rejected: the tone is wrong", 0)


def test_who_watches_instead_of_a_dead_step_waits_for_the_same_approval(world: World, deployed: ModelVersion) -> None:
    asking(world, Approval.EVERY)

    class Dies(Exception):
        pass

    def dies(_: float) -> None:
        if now(world).pause:
            world.clock.on_sleep.remove(dies)
            raise Dies

    world.clock.on_sleep.append(dies)
    with pytest.raises(Dies):
        watch.watch_stage(world.platform(), RUN, 0)
    after(world, 30, lambda: orders.approve(world.platform(), "fine"))
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE


def test_the_guard_tells_whoever_must_approve_and_its_heart_beats_on(world: World, deployed: ModelVersion) -> None:
    platform, told, free = world.platform(), threading.Event(), threading.Event()

    def slow(notice: Notice, to: NotifyPlan) -> None:
        told.set()
        assert free.wait(30)
        world.notices.told.append((notice, to))

    world.notices.send = slow  # type: ignore[method-assign]
    to = NotifyPlan(url="https://a.example/canary")
    asking(world, Approval.EVERY)
    at = world.clock.now()
    ledger.change(platform, RUN, lambda r: orders.awaiting_approval(replace(r, stage=0, plan=replace(r.plan, notify=(to,))), at))

    def looks(_: float) -> None:
        assert told.wait(30)
        assert now(world).beat is not None
        free.set()
        for thread in [t for t in threading.enumerate() if t.name == "notices of digits"]:
            thread.join(30)
        end_as(platform, RUN, State.ROLLED_BACK, "enough")

    world.clock.on_sleep.append(looks)
    stand_guard(platform, RUN)
    kinds = [notice.kind for notice, _ in world.notices.told]
    assert kinds[0] == "stage.awaits_approval"
    assert "tfcanary approve digits" in world.notices.told[0][0].reason


def test_what_does_not_fit_the_release_is_refused_with_the_way_on(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    with pytest.raises(Refused, match="watched and not paused; `resume` goes on after `pause`"):
        orders.resume(platform, "")
    with pytest.raises(Refused, match=r"no stage waits for approval \(the plan's `stage.approval` is `none`\)"):
        orders.approve(platform, "")
    with pytest.raises(Refused, match="no stage waits for approval"):
        orders.reject(platform, "")
    orders.pause(platform, "lunch")
    with pytest.raises(Refused, match=r"is paused since .*; to go on: `tfcanary resume digits`"):
        orders.pause(platform, "again")


def test_nobody_is_told_anything_where_no_release_is_on_the_road(world: World) -> None:
    for order in (orders.pause, orders.resume, orders.approve, orders.reject):
        with pytest.raises(Refused, match="digits: no release is active"):
            order(world.platform(), "")


def test_whatever_a_person_says_the_record_can_be_read_again(world: World, deployed: ModelVersion) -> None:
    orders.pause(world.platform(), "$(date) {{{x}}}")
    record = ledger.read(world.platform())
    assert codec.loads(type(record), codec.dumps(record)) == record
    assert "paused: $ (date) { { {x}}}" in [event.what for event in now(world).events]
