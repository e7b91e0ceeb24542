"""A rollback on this machine needs nothing to exist, and no platform to be up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from tests.adapters.local.conftest import Place, a_release, until
from tfcanary.act import ledger, restore, rollback
from tfcanary.adapters import local
from tfcanary.cli import tfcanary
from tfcanary.core.domain import Desired, Intent, Pool, RunningPool, Track, Traffic
from tfcanary.core.errors import Conflict, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import State

FIRST = Plan(bootstrap=True)


def down(place: Place) -> None:
    local.down(place.folder.root)


@pytest.mark.parametrize("then", [lambda place: None, down], ids=["up", "down"])
def test_a_first_release_that_was_refused_gives_the_name_free(place: Place, then: Callable[[Place], None]) -> None:
    """Neither a proxy nor a route of the model was ever made."""
    place.remember(None, a_release("run-1", plan=FIRST, intent=5))
    then(place)
    bound = place.bound()
    ended = rollback.roll_back(bound, "run-1", "aborted by a person")
    assert ended is not None
    assert (ended.state, ended.reason) == (State.ROLLED_BACK, "aborted by a person")
    assert restore.differences(bound, ledger.read(bound)) == ()
    ledger.may_begin(ledger.read(bound), FIRST, "run-2")


def watched(place: Place) -> Desired:
    """A canary with half of the traffic, as its release wants it."""
    bound = place.serve(stable=1, canary=2)
    pools = (RunningPool(place.version(1)), RunningPool(place.version(2)))
    wanted = Desired(Traffic(canary=50), {Track.STABLE: Pool(1), Track.CANARY: Pool(2)}, pools)
    bound.router.set_traffic(wanted.traffic, Intent("run-1", 40))
    place.remember(1, a_release("run-1", state=State.WATCHED, desired=wanted, intent=40))
    return wanted


def test_a_release_is_rolled_back_while_the_platform_is_down_and_stays_so_when_it_is_up(place: Place) -> None:
    watched(place)
    down(place)
    bound = place.bound()
    ended = rollback.roll_back(bound, "run-1", "aborted by a person")
    assert ended is not None
    assert (ended.state, ended.desired.traffic) == (State.ROLLED_BACK, Traffic())
    assert restore.differences(bound, ledger.read(bound)) == ()
    assert bound.router.stamp() == ended.token
    assert local.status(place.folder.root)["up"] is False
    place.up()
    assert restore.differences(bound, ledger.read(bound)) == ()
    assert (bound.router.traffic(), bound.deployer.observe().tracks) == (Traffic(), {Track.STABLE: Pool(1)})
    with pytest.raises(Conflict):
        bound.deployer.assign(Track.STABLE, Pool(2), Intent("run-1", 40))


def test_the_verbs_work_while_the_platform_is_down(place: Place) -> None:
    watched(place)
    down(place)
    for arguments, text in ((["status", "m"], "watched"), (["abort", "m"], "rolled back"), (["status"], "the local platform is down")):
        done = CliRunner().invoke(tfcanary, [*arguments, f"--platform={place.folder.uri}"])
        assert (done.exit_code, text in done.output) == (0, True), done.output


def test_a_release_is_rolled_back_while_the_platform_is_up(place: Place) -> None:
    watched(place)
    bound = place.bound()
    ended = rollback.roll_back(bound, "run-1", "aborted by a person")
    assert ended is not None
    assert ended.state is State.ROLLED_BACK
    assert (bound.router.traffic(), bound.deployer.observe().tracks) == (Traffic(), {Track.STABLE: Pool(1)})


def test_what_somebody_else_changed_after_the_end_is_put_right(place: Place) -> None:
    watched(place)
    bound = place.bound()
    rollback.roll_back(bound, "run-1", "aborted by a person")
    bound.deployer.assign(Track.CANARY, Pool(2), Intent("run-1", 41))
    bound.router.set_traffic(Traffic(canary=30), Intent("run-1", 41))
    assert restore.differences(bound, ledger.read(bound))
    restore.restore(bound, "run-1")
    assert restore.differences(bound, ledger.read(bound)) == ()


def test_a_release_is_refused_at_once_while_the_platform_is_down(place: Place) -> None:
    place.remember(1)
    down(place)
    with pytest.raises(Unavailable, match="is not up: `tfcanary up` starts it"):
        ledger.check(place.bound(), Plan())
    with pytest.raises(Unavailable, match="is not up: `tfcanary up` starts it"):
        ledger.begin(place.bound(), Plan(), "run-1")
    assert ledger.read(place.bound()).release is None


def test_a_release_that_begins_has_its_guard_at_once(place: Place) -> None:
    place.remember(1)
    ledger.begin(place.bound(), Plan(), "stays 9")
    until(lambda: [g["run_id"] for g in place.shown()["guards"] if g["state"] == "running"] == ["stays 9"])
