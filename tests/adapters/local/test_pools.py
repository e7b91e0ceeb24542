"""Pools of several servers on this machine: processes as a cluster has pods."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

from tests.adapters.local.conftest import Place, a_release, available, lives, until
from tests.adapters.routing import load
from tfcanary.adapters import local
from tfcanary.core.domain import Desired, Pool, Request, RunningPool, Track
from tfcanary.core.record import State

REQUESTS = 200


def servers(model: Place, number: int) -> list[dict[str, Any]]:
    return [one for one in model.shown()["servers"] if one["version"] == number]


def answers(address: str) -> Counter[int]:
    return Counter(load.ask_once(address)[1]["pid"] for _ in range(REQUESTS))


def test_a_pool_grows_under_load_and_users_reach_each_of_its_servers(model: Place) -> None:
    bound = model.serve(stable=1)
    (first,) = servers(model, 1)
    with load.Load(bound.router.address()) as users:
        model.deploy(1, least=3)
        bound.deployer.assign(Track.STABLE, Pool(1), model.intent())
    assert users.failed == []
    found = servers(model, 1)
    assert len({one["name"] for one in found}) == 3
    assert found[0] == first, "a server that runs is not restarted"
    assert set(answers(bound.router.address())) == {one["pid"] for one in found}
    assert {one.name for one in bound.deployer.observe(Pool(1)).servers[Pool(1)]} == {one["name"] for one in found}
    asked = {bound.predictor.predict(Track.STABLE, Request({"instances": [1]})).body["pid"] for _ in range(3)}
    assert asked == {one["pid"] for one in found}


def test_a_pool_does_not_shrink_and_goes_as_a_whole(model: Place) -> None:
    bound = model.serve(stable=1)
    model.deploy(2, least=2)
    model.deploy(2)
    pids = [one["pid"] for one in servers(model, 2)]
    assert len(pids) == 2
    model.remove(2)
    until(lambda: not any(map(lives, pids)))
    assert sorted(bound.deployer.observe().servers) == [Pool(1)]


def test_a_server_of_several_that_dies_is_started_again_and_the_others_serve(model: Place) -> None:
    bound = model.serve(stable=1)
    model.deploy(1, least=2)
    before = {one["pid"] for one in servers(model, 1)}
    gone = servers(model, 1)[1]
    os.kill(gone["pid"], signal.SIGKILL)
    until(lambda: {one["pid"] for one in servers(model, 1)} - before and available(bound, 1))
    assert len(servers(model, 1)) == 2
    assert servers(model, 1)[0]["pid"] in before


def test_what_comes_up_again_has_as_many_servers_as_the_record_wants(place: Place) -> None:
    place.serve(stable=1)
    wanted = Desired(tracks={Track.STABLE: Pool(1)}, pools=(RunningPool(place.version(1), least=2),))
    place.remember(1, a_release("run-1", state=State.PROMOTED, published=True, desired=wanted))
    local.down(place.folder.root)
    place.up()
    until(lambda: len([one for one in servers(place, 1) if one["rest"]]) == 2)
