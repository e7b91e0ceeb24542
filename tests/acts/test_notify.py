"""Who asked is told how a release ends: last of all, once where nobody dies, and never instead of a rollback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.acts.conftest import RUN
from tests.acts.test_release import Dies
from tests.fakes import World
from tfcanary import watch
from tfcanary.acts import deploy, ledger, notify, promote, rollback, shift
from tfcanary.domain import Decision, ModelVersion, Verdict
from tfcanary.errors import Unavailable
from tfcanary.plan import NoticeFormat, NotifyPlan, Occasion, Plan
from tfcanary.ports import Notice, Platform
from tfcanary.record import DriftTold, Release, State, Telling

A = NotifyPlan(url="https://a.example/canary")
B = NotifyPlan(url="https://b.example/canary", format=NoticeFormat.CLOUDEVENTS, when=tuple(Occasion))


@pytest.fixture
def plan(plan: Plan) -> Plan:
    """Two receivers."""
    return replace(plan, notify=(A, B), deploy=replace(plan.deploy, keep_previous=timedelta(0)))


def release_of(world: World) -> Release:
    release = ledger.read(world.platform()).release
    assert release is not None
    return release


def told(world: World) -> list[tuple[str, str]]:
    return [(notice.kind, to.place) for notice, to in world.notices.told]


def both(kind: str) -> list[tuple[str, str]]:
    return [(kind, "a.example"), (kind, "b.example")]


def promoted(world: World) -> Release:
    return promote.promote(world.platform(), RUN)


def rolled_back(world: World) -> Release:
    ended = rollback.roll_back(world.platform(), RUN, "errors 4 times stable's")
    assert ended is not None
    return ended


def test_a_promotion_is_told_with_its_reason(world: World, at_last_stage: ModelVersion) -> None:
    promoted(world)
    notice, _ = world.notices.told[0]
    assert told(world) == both("release.promoted")
    assert (notice.reason, notice.candidate, notice.stable, notice.state) == ("every criterion passed", 2, 2, "promoted")
    assert (notice.id, notice.model, notice.platform, notice.at) == (
        f"{RUN}/release.promoted",
        "digits",
        "fake://",
        release_of(world).ended,
    )


def test_a_rollback_is_told_with_its_reason(world: World, at_last_stage: ModelVersion) -> None:
    rolled_back(world)
    assert told(world) == both("release.rolled_back")
    assert {notice.reason for notice, _ in world.notices.told} == {"errors 4 times stable's"}


def test_a_refusal_is_told_with_its_reason(world: World, pushed: ModelVersion) -> None:
    rollback.roll_back(world.platform(), RUN)
    assert told(world) == both("release.refused")
    assert {notice.reason for notice, _ in world.notices.told} == {rollback.NO_VERDICT}


def test_a_first_release_is_told(plan: Plan, pushed_first: tuple[World, ModelVersion]) -> None:
    world, version = pushed_first
    deploy.deploy_canary(world.platform(), RUN, version, lambda: iter(()))
    rollback.roll_back(world.platform(), RUN)
    assert told(world) == both("release.promoted")


def test_a_plan_without_receivers_costs_no_write(world: World, at_last_stage: ModelVersion) -> None:
    ledger.change(world.platform(), RUN, lambda r: replace(r, plan=replace(r.plan, notify=())))
    rolled_back(world)
    writes = world.records.writes
    assert notify.deliver(world.platform(), RUN)
    assert (world.records.writes, told(world)) == (writes, [])


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_traffic_and_record_come_first_however_long_a_receiver_lets_us_wait(
    world: World, at_last_stage: ModelVersion, seconds: float
) -> None:
    """What each receiver could have seen at the moment it was told."""
    world.notices.seconds, world.notices.deaf = seconds, {"a.example"}
    rolled_back(world)
    assert [weight for weight, _ in world.notices.seen] == [0, 0]
    assert {record.release.state for _, record in world.notices.seen if record.release} == {State.ROLLED_BACK}
    assert at_last_stage.number not in world.processes
    assert world.unserved == 0


def test_a_verdict_of_rollback_moves_traffic_before_anybody_is_told(world: World, at_last_stage: ModelVersion) -> None:
    shift.trip(world.platform(), RUN, "errors")
    assert (world.weight, world.notices.seen) == (0, [])


ENDS: dict[str, tuple[Callable[[World], Release], str]] = {
    "promoted": (promoted, "release.promoted"),
    "rolled back": (rolled_back, "release.rolled_back"),
}


def guard(world: World) -> None:
    watch.stand_guard(world.platform(), RUN)


def exit_step(world: World) -> None:
    rollback.roll_back(world.platform(), RUN)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("order", [(guard, exit_step), (exit_step, guard), (exit_step, exit_step, guard, guard)])
def test_guard_and_exit_step_tell_once(
    world: World, at_last_stage: ModelVersion, end: str, order: tuple[Callable[[World], None], ...]
) -> None:
    act, kind = ENDS[end]
    act(world)
    for who in order:
        who(world)
    assert told(world) == both(kind)
    assert world.guards == []


@pytest.mark.parametrize("end", ENDS)
def test_guard_and_exit_step_at_the_same_time_tell_once(world: World, at_last_stage: ModelVersion, end: str) -> None:
    """While the one waits for a receiver the other comes along, and waits for the one."""
    act, kind = ENDS[end]
    send = world.notices.send
    nested: list[str] = []

    def slow(notice: Notice, to: NotifyPlan) -> None:
        if not nested:
            nested.append(notice.id)
            # The other would wait for ever for us, who wait for it: its first look at the clock ends it.
            world.clock.on_sleep.append(leaves)
            with pytest.raises(Leaves):
                notify.deliver(world.platform(), RUN)
            world.clock.on_sleep.remove(leaves)
        send(notice, to)

    class Leaves(Exception):
        pass

    def leaves(_: float) -> None:
        raise Leaves

    world.notices.send = slow  # type: ignore[method-assign]
    act(world)
    assert nested
    assert told(world) == both(kind)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("at", range(1, 7))
def test_who_is_killed_while_telling_has_told_or_somebody_else_does(world: World, at_last_stage: ModelVersion, end: str, at: int) -> None:
    """The n-th of: begin to tell, tell, note, tell, note, end. Told twice is told under the same id."""
    act, kind = ENDS[end]
    send, swap, left = world.notices.send, world.records.swap, [at]

    def count() -> None:
        ended = world.records.stored and world.records.stored.record.release
        left[0] -= bool(ended and ended.state.ended)
        if left[0] == 0:
            left[0] = -1
            raise Dies

    def mortal_send(notice: Notice, to: NotifyPlan) -> None:
        count()
        send(notice, to)

    def mortal_swap(*arguments: object) -> int:
        count()
        return swap(*arguments)  # type: ignore[arg-type]

    world.notices.send, world.records.swap = mortal_send, mortal_swap  # type: ignore[method-assign]
    with pytest.raises(Dies):
        act(world)
    exit_step(world)
    guard(world)
    assert sorted(set(told(world))) == both(kind)
    assert len(told(world)) <= 3
    assert len({notice.id for notice, _ in world.notices.told}) == 1
    assert world.guards == []


def test_who_hangs_while_telling_is_waited_for_and_then_followed(world: World, at_last_stage: ModelVersion) -> None:
    ended = ledger.end(world.platform(), RUN, State.ROLLED_BACK, "errors")
    until = world.clock.now() + timedelta(seconds=40)
    ledger.change(world.platform(), RUN, lambda r: replace(r, telling=Telling("somebody", until)))
    assert notify.deliver(world.platform(), RUN)
    assert until <= world.clock.now() < until + timedelta(seconds=5)
    assert told(world) == both(f"release.{ended.state.value.replace(' ', '_')}")


def test_a_receiver_that_takes_nothing_changes_no_release(world: World, at_last_stage: ModelVersion) -> None:
    world.notices.deaf = {"a.example"}
    ended = promoted(world)
    after = release_of(world)
    assert told(world) == [("release.promoted", "b.example")]
    assert (after.state, after.reason, after.ended, after.weight) == (ended.state, ended.reason, ended.ended, ended.weight)
    assert [event.what for event in after.events if event.what.startswith("not told")] == [
        "not told: release.promoted: a.example did not take it"
    ]
    assert world.unserved == 0


def test_where_the_exit_step_could_not_tell_the_guard_stays_and_does(world: World, at_last_stage: ModelVersion) -> None:
    """As where a person aborts from a machine that has no secret addresses."""
    world.notices.deaf = {"a.example"}
    rolled_back(world)
    assert world.guards == [RUN]
    world.notices.deaf = set()
    guard(world)
    assert sorted(told(world)) == both("release.rolled_back")
    assert world.guards == []


def test_the_guard_ends_also_where_nobody_takes_anything(world: World, at_last_stage: ModelVersion) -> None:
    world.notices.deaf = {"a.example", "b.example"}
    rolled_back(world)
    guard(world)
    assert (told(world), world.guards) == ([], [])


def test_a_record_that_cannot_be_read_is_a_warning(
    world: World, at_last_stage: ModelVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.end(world.platform(), RUN, State.ROLLED_BACK, "errors")

    def unread() -> None:
        raise Unavailable("the API server is away")

    monkeypatch.setattr(world.records, "read", unread)
    assert not notify.deliver(world.platform(), RUN)
    assert "not everybody could be told of release run-1: the API server is away" in caplog.text


def test_of_the_release_before_nobody_is_told_when_the_next_one_is_in_the_record(
    world: World, plan: Plan, at_last_stage: ModelVersion
) -> None:
    ledger.end(world.platform(), RUN, State.ROLLED_BACK, "errors")
    ledger.begin(world.platform(), plan, "run-2")
    assert notify.deliver(world.platform(), RUN)
    assert told(world) == []


def test_what_everybody_died_before_telling_is_told_before_the_next_release_begins(
    world: World, plan: Plan, at_last_stage: ModelVersion
) -> None:
    assert notify.settle(world.platform())
    assert told(world) == [], "this one is on the road"
    ledger.end(world.platform(), RUN, State.ROLLED_BACK, "errors")
    for _ in range(2):
        assert notify.settle(world.platform())
    ledger.begin(world.platform(), plan, "run-2")
    assert told(world) == both("release.rolled_back")
    assert [line.run_id for line in ledger.read(world.platform()).history] == [RUN]


def test_who_has_begun_to_tell_goes_on_when_the_next_release_begins(world: World, plan: Plan, at_last_stage: ModelVersion) -> None:
    send = world.notices.send

    def meanwhile(notice: Notice, to: NotifyPlan) -> None:
        if release_of(world).run_id == RUN:
            ledger.begin(world.platform(), plan, "run-2")
        send(notice, to)

    world.notices.send = meanwhile  # type: ignore[method-assign]
    rolled_back(world)
    assert told(world) == both("release.rolled_back")
    assert (release_of(world).run_id, release_of(world).told) == ("run-2", ())


def advanced(platform: Platform) -> None:
    verdict = Verdict(Decision.ADVANCE, "nothing is wrong", stage=0, weight=10, at=platform.clock.now())
    ledger.change(platform, RUN, lambda r: replace(r, verdicts=(verdict,)))


def test_a_stage_is_told_to_who_asked_for_it(world: World, deployed: ModelVersion) -> None:
    advanced(world.platform())
    assert notify.deliver(world.platform(), RUN)
    ((notice, to),) = world.notices.told
    assert (notice.id, notice.stage, notice.weight, notice.reason) == (f"{RUN}/stage.advanced/0", 0, 10, "nothing is wrong")
    assert to is B
    rolled_back(world)
    assert told(world) == [("stage.advanced", "b.example"), *both("release.rolled_back")]


def test_a_receiver_that_lets_us_wait_between_two_stages_ends_no_release(world: World, deployed: ModelVersion) -> None:
    """A handover that is shorter than it takes to give a receiver up."""
    short = timedelta(seconds=20)
    ledger.change(world.platform(), RUN, lambda r: replace(r, plan=replace(r.plan, deploy=replace(r.plan.deploy, handover=short))))
    advanced(world.platform())
    ledger.hold(world.platform(), RUN, "judge")
    world.notices.seconds, world.notices.deaf = 25.0, {"b.example"}
    assert not notify.deliver(world.platform(), RUN)
    holder = release_of(world).holder
    assert holder is not None
    assert holder.until == world.clock.now() + short
    assert release_of(world).state is State.WATCHED


def test_a_world_that_drifted_asks_for_retraining(world: World, deployed: ModelVersion) -> None:
    from tfcanary.plan import DriftPlan

    platform = world.platform()
    ledger.change(platform, RUN, lambda r: replace(r, plan=replace(r.plan, drift=DriftPlan(retrain="train-digits"))))
    found = DriftTold(RUN, world.clock.now(), "input.x moved")
    ledger.update(platform, lambda r: replace(r, drift_told=found))
    for _ in range(2):
        assert notify.deliver(platform, RUN)
    assert told(world) == both("drift.world")
    notice, _ = world.notices.told[0]
    assert (notice.id, notice.retrain, notice.reason, notice.at) == (f"{RUN}/drift.world", "train-digits", "input.x moved", found.at)


def test_a_drift_that_another_release_told_is_not_told_again(world: World, deployed: ModelVersion) -> None:
    ledger.update(world.platform(), lambda r: replace(r, drift_told=DriftTold("run-0", world.clock.now(), "input.x moved")))
    assert notify.deliver(world.platform(), RUN)
    assert told(world) == []


def test_a_receiver_that_does_not_take_one_thing_is_not_asked_to_take_the_next(world: World, deployed: ModelVersion) -> None:
    advanced(world.platform())
    world.notices.deaf = {"b.example"}
    rolled_back(world)
    assert [event.what for event in release_of(world).events if event.what.startswith("not told")] == [
        "not told: stage.advanced: b.example did not take it"
    ]
    assert told(world) == [("release.rolled_back", "a.example")]
