"""Commands that come late: the supervisor and the route table refuse what an older intent wanted."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from tests.adapters.local.conftest import Place, a_release, available, kill_supervisor, until
from tests.adapters.routing import load
from tfcanary.adapters import local
from tfcanary.adapters.local.stamps import REMEMBERED, Stamps
from tfcanary.adapters.local.supervisor_client import SOCKET, ask
from tfcanary.adapters.routing.envoy import ask_admin, shares_in_dump
from tfcanary.core.domain import Intent, Pool, Role, RunningPool, Track, Traffic
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.record import State


def at(number: int, run_id: str = "run-1") -> Intent:
    return Intent(run_id, number)


def pool_stamps(place: Place) -> dict[str, str]:
    stamps: dict[str, str] = place.shown()["stamps"]["pools"]
    return stamps


def test_a_late_assignment_meets_a_conflict(model: Place) -> None:
    """A promotion that was on its way while the release was rolled back."""
    bound = model.serve(stable=1, canary=2)
    bound.deployer.assign(Track.STABLE, Pool(1), at(100, "run-2"))
    with pytest.raises(Conflict, match="the stable track: release 'run-2' wrote intent 100 there, and this is 99 of 'run-1'"):
        bound.deployer.assign(Track.STABLE, Pool(2), at(99))
    with pytest.raises(Conflict):
        bound.deployer.assign(Track.STABLE, None, at(99))
    seen = bound.deployer.observe()
    assert (seen.tracks[Track.STABLE], seen.stamps[Track.STABLE]) == (Pool(1), at(100, "run-2"))
    assert load.ask_once(bound.router.address())[1]["predictions"] == [1]


def test_a_command_that_was_on_its_way_for_long_meets_a_conflict(model: Place) -> None:
    """Its process was stopped in the middle of the sentence; a newer intent spoke meanwhile."""
    model.serve(stable=1, canary=2)
    question = {"do": "assign", "model": model.model, "track": "stable", "pool": "2", "intent": at(50).stamp()}
    first, second = json.dumps(question)[:20].encode(), json.dumps(question)[20:].encode() + b"\n"
    handle = os.open(model.folder.root, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(f"/proc/self/fd/{handle}/{SOCKET}")
        os.close(handle)
        line.sendall(first)
        model.bound().deployer.assign(Track.STABLE, Pool(1), at(51))
        line.sendall(second)
        answer = json.loads(line.makefile().readline())
    assert "wrote intent 51 there" in answer["conflict"]
    assert model.bound().deployer.observe().tracks[Track.STABLE] == Pool(1)


def test_a_late_removal_leaves_a_pool_that_was_deployed_again(model: Place) -> None:
    bound = model.serve(stable=1)
    model.deploy(2)
    before = model.server(2)["pid"]
    bound.deployer.deploy(RunningPool(model.version(2)), at(100, "run-2"))
    with pytest.raises(Conflict, match="version 2: release 'run-2'"):
        bound.deployer.remove(Pool(2), at(99))
    assert model.server(2)["pid"] == before
    assert available(bound, 2)


def test_a_late_deployment_starts_nothing_that_was_removed(model: Place) -> None:
    bound = model.serve(stable=1)
    model.deploy(2)
    bound.deployer.remove(Pool(2), at(100))
    with pytest.raises(Conflict):
        bound.deployer.deploy(RunningPool(model.version(2)), at(99))
    assert sorted(bound.deployer.observe().servers) == [Pool(1)]
    bound.deployer.deploy(RunningPool(model.version(2)), at(101, "run-2"))
    until(lambda: available(bound, 2))


def test_a_newer_intent_stamps_without_a_restart(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    before = [model.server(number) for number in (1, 2)]
    for number, track in ((1, Track.STABLE), (2, Track.CANARY)):
        bound.deployer.deploy(RunningPool(model.version(number)), at(100))
        bound.deployer.assign(track, Pool(number), at(100))
    assert [model.server(number) for number in (1, 2)] == before
    assert pool_stamps(model) == {"1": "100 run-1", "2": "100 run-1"}
    assert bound.deployer.observe().stamps == {Track.STABLE: at(100), Track.CANARY: at(100)}


def test_a_track_is_stamped_while_its_server_is_down(model: Place) -> None:
    """A rollback finds the stable track where it should be, and its server just ended."""
    bound = model.serve(stable=1)
    (model.folder.models / model.model / "1/crash").touch()
    os.kill(model.server(1)["pid"], signal.SIGKILL)
    until(lambda: not model.server(1)["rest"])
    bound.deployer.assign(Track.STABLE, Pool(1), at(100))
    assert bound.deployer.observe().stamps[Track.STABLE] == at(100)


def test_a_late_raise_meets_a_conflict(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    bound.router.set_traffic(Traffic(canary=5), at(6))
    bound.router.set_traffic(Traffic(), at(8))
    with pytest.raises(Conflict):
        bound.router.set_traffic(Traffic(canary=50), at(7))
    assert (bound.router.traffic(), bound.router.stamp()) == (Traffic(), at(8))


def test_the_weight_is_lowered_while_the_supervisor_hangs(place: Place) -> None:
    """Envoy reads the table itself."""
    bound = place.serve(stable=1, canary=2)
    bound.router.set_traffic(Traffic(canary=100), at(6))
    admin = place.shown()["admin"]
    os.kill(place.supervisor, signal.SIGSTOP)
    try:
        lowering = threading.Thread(target=bound.router.set_traffic, args=(Traffic(), at(7)))
        lowering.start()
        until(lambda: {*shares_in_dump(json.loads(ask_admin(admin, "/config_dump"))).values()} == {Traffic()})
    finally:
        os.kill(place.supervisor, signal.SIGCONT)
    lowering.join()
    assert bound.router.stamp() == at(7)


@pytest.mark.parametrize("end", [kill_supervisor, lambda place: local.down(place.folder.root)], ids=["killed", "down"])
def test_the_stamps_outlive_the_supervisor(place: Place, end: Callable[[Place], None]) -> None:
    bound = place.serve(stable=1, canary=2)
    bound.deployer.deploy(RunningPool(place.version(2)), at(40))
    bound.deployer.assign(Track.CANARY, Pool(2), at(41))
    bound.router.set_traffic(Traffic(canary=50), at(42))
    end(place)
    place.up()
    for late in (
        lambda: bound.deployer.deploy(RunningPool(place.version(2)), at(39)),
        lambda: bound.deployer.assign(Track.CANARY, None, at(40)),
        lambda: bound.router.set_traffic(Traffic(), at(41, "run-0")),
    ):
        with pytest.raises(Conflict):
            late()
    assert (bound.router.traffic(), bound.router.stamp()) == (Traffic(), at(42))


def test_a_supervisor_that_comes_up_stamps_with_what_the_record_wants(place: Place) -> None:
    """The release was rolled back while the platform was down; a step of it that was stopped goes on afterwards."""
    bound = place.serve(stable=1, canary=2)
    bound.router.set_traffic(Traffic(canary=50), at(20))
    place.remember(1, a_release("run-1", state=State.ROLLED_BACK, intent=21))
    kill_supervisor(place)
    place.up()
    seen = bound.deployer.observe()
    assert (seen.tracks, seen.stamps) == ({Track.STABLE: Pool(1)}, dict.fromkeys(Track, at(21)))
    assert (bound.router.traffic(), bound.router.stamp()) == (Traffic(), at(21))
    for late in (
        lambda: bound.deployer.deploy(RunningPool(place.version(2)), at(20)),
        lambda: bound.deployer.assign(Track.STABLE, None, at(20)),
        lambda: bound.deployer.remove(Pool(1), at(20)),
    ):
        with pytest.raises(Conflict):
            late()


def test_a_broken_note_of_stamps_keeps_no_supervisor_down(empty: Place) -> None:
    empty.folder.make()
    for stamps in ('{"m": 5}', '{"m": {"tracks": {"upper": "1 run"}, "pools": {}}}', '{"m": {"tracks": {}, "pools": {"x": "1 run"}}}'):
        empty.folder.state.write_text(f'{{"port": {empty.port}, "stamps": {stamps}}}')
        empty.up()
        local.down(empty.folder.root)


def test_a_command_without_a_stamp_is_refused(model: Place) -> None:
    with pytest.raises(Refused, match="does not understand 'deploy'"):
        ask(model.folder, "deploy", model=model.model, pool="1", uri=model.version(1).uri, intent="latest")
    with pytest.raises(Refused, match="does not understand 'assign'"):
        ask(model.folder, "assign", model=model.model, track="stable", pool="1")


def test_stamps_of_removed_pools_do_not_grow_without_end() -> None:
    stamps = Stamps()
    for number in range(1, REMEMBERED + 10):
        stamps.put_pool(Pool(number), at(number))
    stamps.put_pool(Pool(1, Role.BASELINE), at(1))
    stamps.forget(running={Pool(1)})
    assert len(stamps.pools) == REMEMBERED + 1
    assert Pool(1) in stamps.pools
    assert Pool(2) not in stamps.pools
    assert Stamps.of_json(json.loads(json.dumps(stamps.as_json()))) == stamps
