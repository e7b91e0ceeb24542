"""The explorer finds each of these faults when it is planted again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.simulation.actors import Scenario
from tests.simulation.explore import play
from tests.simulation.scheduler import Choice, What
from tfcanary.act import capacity, finish, hold, ledger, restore, rollback, shift
from tfcanary.core import timeline
from tfcanary.core.domain import Intent, Pool, Track, Traffic
from tfcanary.core.errors import Conflict
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release, State
from tfcanary.run import guard

Plant = Callable[[pytest.MonkeyPatch], None]
Schedule = tuple[Scenario, tuple[Choice, ...]]


def no_fencing(patch: pytest.MonkeyPatch) -> None:
    """A raise that was on its way for long lands after the release has been rolled back."""
    patch.setattr("tests.simulation.world.admit", lambda stamp, intent, what, lowering=False: intent)
    patch.setattr("tests.simulation.world.World._land", _land_always)


def _land_always(world: Any, thing: Any, version: int, stamp: Intent, effect: Callable[[], None]) -> bool:
    effect()
    thing.version, thing.stamp = thing.version + 1, stamp
    world.check()
    return True


def servers_go_at_once(patch: pytest.MonkeyPatch) -> None:
    """Together with a world without stamps: the candidate's servers are stopped while a raise is on its way."""
    no_fencing(patch)
    patch.setattr(finish, "IN_FLIGHT", timedelta(0))


def rollback_by_what_was_read_once(patch: pytest.MonkeyPatch) -> None:
    """The candidate's servers are removed although its promotion has ended meanwhile."""

    def rolls_back(platform: Platform, run_id: str, reason: str = "") -> Release | None:
        release = ledger.read(platform).release
        if release is None or release.run_id != run_id or release.state.ended:
            return release
        token = release.token
        platform.clock.sleep(3)
        for act in (
            lambda: platform.router.set_traffic(Traffic(), Intent(run_id, token.number + 100)),
            lambda: platform.deployer.assign(Track.STABLE, Pool(1), Intent(run_id, token.number + 100)),
        ):
            with suppress(Conflict):
                act()
        shift.trip(platform, run_id, reason)
        ledger.end(platform, run_id, State.ROLLED_BACK, State.ROLLING_BACK, reason)
        return release

    patch.setattr(rollback, "roll_back", rolls_back)


def a_hold_that_nobody_renews(patch: pytest.MonkeyPatch) -> None:
    """Long work, or a pause, takes longer than the lease."""
    patch.setattr(hold.Hold, "tick", lambda self: None)


def blind_advances(patch: pytest.MonkeyPatch) -> None:
    """Metrics that vanish in the middle of a stage advance it."""
    patch.setattr(timeline, "blind_for", lambda seen, now: timedelta(0))
    patch.setattr(timeline, "blind_time_since", lambda seen, began: timedelta(0))


def the_guards_clock_is_believed(patch: pytest.MonkeyPatch) -> None:
    """The guard compares the holder's clock with its own."""

    def is_abandoned(self: Any, release: Release) -> bool:
        return release.holder is None or release.holder.until + timedelta(seconds=30) < self.platform.clock.now()

    patch.setattr(guard._Guard, "_is_abandoned", is_abandoned)


def nobody_looks_for_an_able_guard(patch: pytest.MonkeyPatch) -> None:
    """A weight rises beside a guard that is alive and cannot watch."""
    patch.setattr(shift, "await_able_guard", lambda hold: ledger.read_release(hold.platform, hold.run_id))


def windows_are_not_asked(patch: pytest.MonkeyPatch) -> None:
    """A weight rises outside the plan's windows."""
    patch.setattr(Release, "next_rise", lambda self, at: at)


def the_record_is_not_read_again(patch: pytest.MonkeyPatch) -> None:
    """After a write nobody looks whether the world is still wanted."""

    def moved(self: Any, release: Release, move: Callable[[], None]) -> bool:
        move()
        return True

    patch.setattr(restore._Work, "_moved", moved)
    patch.setattr("tests.simulation.world.admit", lambda stamp, intent, what, lowering=False: intent)
    patch.setattr("tests.simulation.world.World._land", _land_always)


def the_guard_is_looked_at_once(patch: pytest.MonkeyPatch) -> None:
    """The moves before a raise take longer than the guard needs to go blind."""
    restored = restore.restore
    patch.setattr(restore, "restore", lambda platform, run_id, hold=None, before_raise=None: restored(platform, run_id, hold))


def a_broken_beginning_has_no_guard(patch: pytest.MonkeyPatch) -> None:
    """A release whose first write lost its answer ends without a guard, beside the previous version's servers."""
    patch.setattr(rollback, "_start_guard", lambda platform, run_id: None)


def traffic_before_servers(patch: pytest.MonkeyPatch) -> None:
    """A share rises while the canary has the servers of the stage before."""
    patch.setattr(capacity, "provide", lambda hold, traffic: None)


def nobody_tells_autoscalers(patch: pytest.MonkeyPatch) -> None:
    """Stable may shrink while the canary has traffic."""
    patch.setattr(restore, "_wrongly_scaled", lambda release, running: [])


def aborts(first: int, last: int, seconds: float) -> list[Schedule]:
    """An abort at each of these writes, while the writer waits."""
    return [(Scenario(), (Choice(at, What.ABORT, seconds),)) for at in range(first, last)]


PLANTS: dict[str, tuple[Plant, list[Schedule]]] = {
    "no fencing": (no_fencing, aborts(56, 75, 15.0)),
    "servers go at once": (servers_go_at_once, aborts(56, 75, 170.0)),
    "rollback by what was read once": (
        rollback_by_what_was_read_once,
        [(Scenario(abort_at=at / 2, skew=0.0), ()) for at in range(270, 340)],
    ),
    "a hold that nobody renews": (a_hold_that_nobody_renews, [(Scenario(pause_at=75.0), ())]),
    "blind advances": (
        blind_advances,
        [(Scenario(away=(("metrics", at, 400.0),), skew=0.0), ()) for at in (76.0, 78.0, 80.0, 83.0)],
    ),
    "the guard's clock is believed": (the_guards_clock_is_believed, [(Scenario(pause_at=75.0, skew=skew), ()) for skew in (-120.0, 120.0)]),
    "nobody looks for an able guard": (nobody_looks_for_an_able_guard, [(Scenario(pause_at=30.0, away=(("storage", 26.0, 400.0),)), ())]),
    "a broken beginning has no guard": (
        a_broken_beginning_has_no_guard,
        [(Scenario(second_at=230.5), (Choice(at, What.LOSE),)) for at in range(110, 145)],
    ),
    "the guard is looked at once": (
        the_guard_is_looked_at_once,
        [(Scenario(), (Choice(at, What.WAIT, 90.0), Choice(at + beat, What.WAIT, 90.0))) for beat in (1, 2) for at in range(75, 110)],
    ),
    "traffic before servers": (traffic_before_servers, [(Scenario(), ())]),
    "nobody tells autoscalers": (nobody_tells_autoscalers, [(Scenario(scaling=True), ())]),
    "windows are not asked": (windows_are_not_asked, [(Scenario(frozen=(0, 20)), ())]),
    "the record is not read again": (the_record_is_not_read_again, aborts(56, 75, 15.0)),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_fault_that_is_planted_again_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, schedules = PLANTS[name]
    assert not any(play(*schedule) for schedule in schedules[:1]), "without the fault nothing is violated"
    plant(monkeypatch)
    assert any(play(*schedule) for schedule in schedules), f"{name}: no schedule found it"
