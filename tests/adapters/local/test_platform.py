"""The ports of the embedded platform: what a release does with them, under load where it matters."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.local.conftest import Place, available, until
from tests.adapters.routing import load
from tfcanary.core.domain import ModelVersion, Pool, Request, RunningPool, Track, Traffic
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.ports import Deployment

REQUEST = Request(body={"instances": [1]})


def test_a_version_is_deployed_without_traffic(model: Place) -> None:
    bound = model.serve(stable=1)
    model.deploy(2)
    seen = bound.deployer.observe()
    assert sorted(seen.servers) == [Pool(1), Pool(2)]
    assert seen.tracks == {Track.STABLE: Pool(1)}
    assert [load.ask_once(bound.router.address())[1]["predictions"] for _ in range(20)] == [[1]] * 20


def test_deploying_twice_is_deploying_once(model: Place) -> None:
    bound = model.serve(stable=1)
    before = model.server(1)
    model.deploy(1)
    assert model.server(1) == before
    elsewhere = ModelVersion(1, "/elsewhere/1", "sha256:1")
    with pytest.raises(Refused, match=r"runs from .*/models/.*/1 already"):
        bound.deployer.deploy(RunningPool(elsewhere), model.intent())


def test_a_promotion_fails_no_request_and_restarts_nothing(model: Place) -> None:
    """All requests to the canary, the stable track to the new version, all requests back; the previous version is then stopped."""
    bound = model.serve(stable=1, canary=2)
    before = model.server(2)
    with load.Load(bound.router.address()) as users:
        for _ in range(3):
            users.wait_for(more=60)
            model.set_traffic(50)
            users.wait_for(more=60)
            model.set_traffic(100)
            model.assign(Track.STABLE, 2)
            model.set_traffic(0)
            model.assign(Track.CANARY, None)
            users.wait_for(more=30)
            mark = len(users.answers)
            users.wait_for(more=60)
            assert set(users.since(mark)) == {2}
            model.assign(Track.CANARY, 1)
            model.assign(Track.STABLE, 1)
            model.assign(Track.CANARY, 2)
        model.assign(Track.STABLE, 2)
        model.assign(Track.CANARY, None)
        model.remove(1)
        users.wait_for(more=100)
    assert users.failed == []
    assert users.reconnects == 0
    assert model.server(2) == before
    assert sorted(bound.deployer.observe().servers) == [Pool(2)]


def test_assign_returns_when_it_is_in_force_not_when_it_is_written(model: Place) -> None:
    """An Envoy that is stopped for a moment has the new file before it, and sends requests where it did."""
    bound = model.serve(stable=1, canary=2)
    envoy, clusters = model.shown()["proxy"]["pid"], model.folder.run(model.model) / "clusters" / "clusters.json"
    before = clusters.read_text()
    os.kill(envoy, signal.SIGSTOP)
    try:
        assigning = threading.Thread(target=model.assign, args=(Track.STABLE, 2))
        assigning.start()
        until(lambda: clusters.read_text() != before)
        assigning.join(timeout=0.3)
        assert assigning.is_alive()
    finally:
        os.kill(envoy, signal.SIGCONT)
    assigning.join()
    assert load.ask_once(bound.router.address())[1]["predictions"] == [2]


def test_a_request_under_way_survives_that_its_track_moves_on(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    answers: list[tuple[int, dict]] = []
    address = bound.router.address()
    slow = threading.Thread(target=lambda: answers.append(load.ask_once(address, path="/v1/models/m:predict?sleep=1.0")))
    slow.start()
    until(lambda: "rq_active::1" in _clusters(model))
    model.assign(Track.STABLE, 2)
    model.remove(1)
    slow.join()
    assert [(status, body["predictions"]) for status, body in answers] == [(200, [1])]


def _clusters(model: Place) -> str:
    connection = http.client.HTTPConnection(model.shown()["admin"])
    connection.request("GET", "/clusters")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_grpc_goes_through_the_same_port_and_the_same_split(model: Place) -> None:
    import grpc

    bound = model.serve(stable=1, canary=2)
    with grpc.insecure_channel(bound.router.address().removeprefix("http://")) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        assert {predict(b"", timeout=10) for _ in range(50)} == {b"1"}
        model.set_traffic(100)
        assert {predict(b"", timeout=10) for _ in range(50)} == {b"2"}
        model.assign(Track.STABLE, 2)
        model.set_traffic(0)
        assert {predict(b"", timeout=10) for _ in range(50)} == {b"2"}


def test_a_version_that_a_track_points_at_is_not_removed(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    with pytest.raises(Refused, match=r"version 2 of .* is what the canary track points at"):
        model.remove(2)
    assert available(bound, 2)
    model.assign(Track.CANARY, None)
    model.remove(2)
    model.remove(2)
    assert sorted(bound.deployer.observe().servers) == [Pool(1)]


def test_a_track_points_only_at_servers_that_are_available(model: Place) -> None:
    bound = model.serve(stable=1)
    with pytest.raises(Refused, match=r"version 7 of .* is not deployed"):
        model.assign(Track.STABLE, 7)
    bound.deployer.deploy(RunningPool(model.version(3, "crash")), model.intent())
    with pytest.raises(Unavailable, match="version 3"):
        model.assign(Track.CANARY, 3)
    assert bound.deployer.observe().tracks == {Track.STABLE: Pool(1)}


def test_a_canary_that_does_not_answer_gets_no_weight(model: Place) -> None:
    bound = model.serve(stable=1)
    with pytest.raises(Unavailable, match="points at no version"):
        model.set_traffic(5)
    assert bound.router.traffic() == Traffic(canary=0)


def test_a_version_that_ends_while_loading_has_failed_and_says_why(model: Place) -> None:
    bound = model.serve(stable=1)
    bound.deployer.deploy(RunningPool(model.version(2, "crash")), model.intent())
    until(lambda: any(server.failed for server in bound.deployer.observe().servers[Pool(2)]))
    (server,) = bound.deployer.observe().servers[Pool(2)]
    assert not server.available
    assert "exit code 1 while loading: the stand-in cannot load this version" in server.message
    (model.folder.models / model.model / "2/crash").unlink()
    until(lambda: available(bound, 2))
    assert not bound.deployer.observe().servers[Pool(2)][0].failed


def test_a_server_that_died_is_started_again_and_is_another_one(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    before = model.server(1)
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: model.server(1)["pid"] != before["pid"] and available(bound, 1))
    model.shown()
    after = bound.deployer.observe().servers[Pool(1)][0]
    assert after.name != before["name"]
    assert not after.failed
    until(lambda: load.ask_once(bound.router.address())[0] == 200)
    assert load.ask_once(bound.router.address())[1]["predictions"] == [1]


def test_a_dead_server_is_not_available_and_its_requests_reach_nobody_else(model: Place) -> None:
    """Its port may be another server's a moment later."""
    bound = model.serve(stable=1, canary=2)
    (model.folder.models / model.model / "1/crash").touch()
    os.kill(model.server(1)["pid"], signal.SIGKILL)
    until(lambda: not model.server(1)["rest"])
    (server,) = bound.deployer.observe().servers[Pool(1)]
    assert not server.available
    assert "signal 9 (Killed)" in server.message
    status, body = load.ask_once(bound.router.address())
    assert (status, body["text"]) == (503, "no healthy upstream")


def test_a_dead_envoy_comes_back_on_its_port_with_its_weight(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    model.set_traffic(100)
    address, pid = bound.router.address(), model.shown()["proxy"]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: model.shown()["proxy"]["pid"] != pid and model.shown()["admin"])
    assert bound.router.address() == address
    assert bound.router.traffic() == Traffic(canary=100)
    assert load.ask_once(address)[1]["predictions"] == [2]


def test_the_weight_is_lowered_while_envoy_is_being_started_again(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    model.set_traffic(100)
    os.kill(model.shown()["proxy"]["pid"], signal.SIGKILL)
    model.set_traffic(0)
    assert bound.router.traffic() == Traffic(canary=0)
    until(lambda: model.shown()["admin"])
    assert load.ask_once(bound.router.address())[1]["predictions"] == [1]


def test_the_predictor_asks_each_track_past_the_split(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    assert bound.predictor.predict(Track.STABLE, REQUEST).body["predictions"] == [1]
    assert bound.predictor.predict(Track.CANARY, REQUEST).body["predictions"] == [2]
    model.assign(Track.CANARY, None)
    with pytest.raises(Unavailable, match=r"canary track of .* has no server"):
        bound.predictor.predict(Track.CANARY, REQUEST)


def test_two_models_have_two_addresses(shared: Place) -> None:
    first, second = shared.bound("first"), shared.bound("second")
    for bound in (first, second):
        number = 1 if bound is first else 2
        place = replace(shared, model=bound.model)
        place.deploy(number)
        place.assign(Track.STABLE, number)
    assert second.router.address() != first.router.address()
    assert [load.ask_once(b.router.address())[1]["predictions"] for b in (first, second)] == [[1], [2]]


def test_servers_are_asked_on_this_machine_only(model: Place) -> None:
    model.serve(stable=1)
    model.shown()
    ours = {
        int(at.rpartition(":")[2])
        for at in (model.server(1)["rest"], model.server(1)["grpc"], model.shown()["address"], model.shown()["admin"])
    }
    listening = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    hosts = [line[1].split(":")[0] for line in listening if line[3] == "0A" and int(line[1].split(":")[1], 16) in ours]
    assert len(hosts) == len(ours)
    assert all(host.endswith("0100007F") for host in hosts), hosts


def test_no_log_of_the_proxy_is_missing_a_request(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    for track in ("stable", "canary"):
        load.ask_once(bound.router.address(), headers={"x-tfcanary-track": track})
    log = model.folder.run(model.model) / "access.log"
    until(lambda: log.exists() and len(log.read_text().splitlines()) == 2)
    assert [json.loads(line)["track"] for line in log.read_text().splitlines()] == ["stable", "canary"]


def test_an_unknown_model_runs_nothing(model: Place) -> None:
    assert model.bound("unheard-of").deployer.observe() == Deployment()
