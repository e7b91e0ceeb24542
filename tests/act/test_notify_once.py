"""How a release ends is told once where nobody dies: of guard, exit step and next release each tells what no other has told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.act.conftest import RUN, end_as, release_of
from tests.act.dying import Dies
from tests.act.receivers import both, plan, promoted, rolled_back, told
from tests.fakes import World
from tfcanary.act import ledger, notify, rollback
from tfcanary.core.domain import ModelVersion
from tfcanary.core.plan import NotifyPlan, Plan
from tfcanary.core.ports import Notice
from tfcanary.core.record import Release, State, Telling
from tfcanary.run.guard import stand_guard

__all__ = ["plan"]

ENDS: dict[str, tuple[Callable[[World], Release], str]] = {
    "promoted": (promoted, "release.promoted"),
    "rolled back": (rolled_back, "release.rolled_back"),
}


def guard(world: World) -> None:
    stand_guard(world.platform(), RUN)


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
    ended = end_as(world.platform(), RUN, State.ROLLED_BACK, "errors")
    until = world.clock.now() + timedelta(seconds=40)
    ledger.change(world.platform(), RUN, lambda r: replace(r, telling=Telling("somebody", until)))
    assert notify.deliver(world.platform(), RUN)
    assert until <= world.clock.now() < until + timedelta(seconds=5)
    assert told(world) == both(f"release.{ended.state.value.replace(' ', '_')}")


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


def test_of_the_release_before_nobody_is_told_when_the_next_one_is_in_the_record(
    world: World, plan: Plan, at_last_stage: ModelVersion
) -> None:
    end_as(world.platform(), RUN, State.ROLLED_BACK, "errors")
    ledger.begin(world.platform(), plan, "run-2")
    assert notify.deliver(world.platform(), RUN)
    assert told(world) == []


def test_what_everybody_died_before_telling_is_told_before_the_next_release_begins(
    world: World, plan: Plan, at_last_stage: ModelVersion
) -> None:
    assert notify.settle(world.platform())
    assert told(world) == [], "this one is on the road"
    end_as(world.platform(), RUN, State.ROLLED_BACK, "errors")
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
