"""The platform with TensorFlow's own answers: the model servers of a release, forked from one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.adapters.local.conftest import Place, available, ended, free_port, until
from tests.adapters.routing import load
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.program import Program
from tfcanary.adapters.local.servers import model_config
from tfcanary.core.domain import Pool, Request, RunningPool, Sample, Track
from tfcanary.core.ports import Platform
from tfcanary.tf.wire import messages

PATIENCE = 120.0
"""Seconds for TensorFlow's import on a machine with other work."""
REQUEST = Request(body={"instances": [10.0]})


def test_the_configuration_of_a_server_names_exactly_one_version() -> None:
    """Read back with the message that the server itself uses; no name or path gets out of its quotes."""
    from google.protobuf import text_format

    text = model_config("m", "/srv/\"odd\\ näme'/m", 42)
    (config,) = text_format.Parse(text, messages.ModelServerConfig()).model_config_list.config
    assert (config.name, config.base_path) == ("m", "/srv/\"odd\\ näme'/m")
    assert list(config.model_version_policy.specific.versions) == [42]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Version 1 is stable and version 2 the canary, for the tests of this file one after the other."""
    place = Place(Folder(tmp_path_factory.mktemp("real") / "state"), free_port(), Program())
    place.folder.make()
    export = [sys.executable, "-m", "tests.adapters.local.export", str(place.folder.models / "m")]
    subprocess.run(export, check=True, stderr=subprocess.DEVNULL)
    place.up()
    yield place
    ended(place)


@pytest.fixture
def released(real: Place) -> Platform:
    bound = real.bound()
    for track, number in ((Track.STABLE, 1), (Track.CANARY, 2)):
        bound.deployer.deploy(RunningPool(real.version(number)), real.intent())
        until(lambda number=number: available(bound, number), PATIENCE)
        real.assign(track, number)
    return bound


@pytest.mark.slow
def test_a_promotion_of_real_servers_fails_no_request(real: Place, released: Platform) -> None:
    with load.Load(released.router.address()) as users:
        users.wait_for(more=100)
        real.set_traffic(50)
        users.wait_for(more=100)
        real.set_traffic(100)
        real.assign(Track.STABLE, 2)
        real.set_traffic(0)
        real.assign(Track.CANARY, None)
        real.remove(1)
        users.wait_for(more=100)
    assert users.failed == []
    assert users.reconnects == 0
    assert set(users.answers) == {2.0, 3.0}
    assert set(users.answers[-50:]) == {3.0}


@pytest.mark.slow
def test_each_track_counts_its_own_requests_and_no_question_about_its_status(real: Place, released: Platform) -> None:
    tracks = (Track.STABLE, Track.CANARY)
    before = [counted(released, track) for track in tracks]
    for _ in range(5):
        assert released.predictor.predict(Track.STABLE, REQUEST).body["predictions"] == [11.0]
    for _ in range(3):
        assert released.predictor.predict(Track.CANARY, REQUEST).body["predictions"] == [12.0]
    assert [counted(released, track) - old for track, old in zip(tracks, before, strict=True)] == [5, 3]


def counted(bound: Platform, track: Track) -> float:
    bound.deployer.observe()
    sample = bound.metrics.sample(track, datetime.now(UTC))
    assert sample.up
    return sum(server.ok + server.failed for server in sample.servers.values())


@pytest.mark.slow
def test_a_version_that_does_not_load_has_failed_within_seconds(real: Place, released: Platform) -> None:
    released.deployer.deploy(RunningPool(real.version(3)), real.intent())
    until(lambda: any(server.failed for server in released.deployer.observe().servers[Pool(3)]), PATIENCE)
    (server,) = released.deployer.observe().servers[Pool(3)]
    assert not server.available
    assert "while loading" in server.message
    real.remove(3)


@pytest.mark.slow
def test_a_real_server_that_died_is_unreachable_and_comes_back(real: Place, released: Platform) -> None:
    pid = real.server(2)["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not real.server(2)["rest"])
    assert released.metrics.sample(Track.CANARY, datetime.now(UTC)) == Sample(Track.CANARY, up=False)
    assert released.metrics.sample(Track.STABLE, datetime.now(UTC)).up
    until(lambda: available(released, 2), PATIENCE)
    assert real.server(2)["pid"] != pid
    assert released.predictor.predict(Track.CANARY, REQUEST).body["predictions"] == [12.0]


@pytest.mark.slow
def test_the_request_log_of_the_stable_server_is_read_back(real: Place, released: Platform) -> None:
    sent = [[float(number)] for number in range(1000, 1007)]
    for rows in sent:
        released.predictor.predict(Track.STABLE, Request(body={"instances": rows}))
    until(lambda: all(rows in [request.body["instances"] for request in released.log.requests(1000)] for rows in sent), 60)


@pytest.mark.slow
def test_real_servers_end_with_a_killed_supervisor(real: Place, released: Platform) -> None:
    real.shown()
    os.kill(real.supervisor, signal.SIGKILL)
    until(real.all_gone)
    assert len(real.pids) >= 5
