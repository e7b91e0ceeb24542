"""REST and gRPC come by one listener and carry one traffic: on a real Envoy, under load, and read back from both."""

from __future__ import annotations

import json
from collections import Counter
from itertools import count
from typing import cast

import pytest

from tests.adapters.routing import grpc_users, load
from tests.adapters.routing.conftest import Proxied
from tests.adapters.routing.tracks import MODEL, plan
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.routing import open_router
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.adapters.routing.envoy import route_table
from tfcanary.core.domain import Intent, Traffic
from tfcanary.core.errors import Diverted, Refused, TfcanaryError
from tfcanary.core.plan import Entrance

STABLE, CANARY, BASELINE = 1, 2, 3
REQUESTS = 1500
NUMBERS = count(1)


def set_traffic(proxied: Proxied, canary: int, baseline: int = 0) -> None:
    proxied.router().set_traffic(Traffic(canary=canary, baseline=baseline), Intent("run-1", next(NUMBERS)))


def test_each_entrance_has_the_same_share(proxied: Proxied) -> None:
    set_traffic(proxied, 20, baseline=10)
    with load.Load(proxied.address, pause=0.0) as users:
        users.wait_for(more=REQUESTS)
    assert users.failed == []
    for answers in (Counter(users.answers[:REQUESTS]), grpc_users.ask(proxied.address, REQUESTS)):
        assert grpc_users.is_share(answers[CANARY], REQUESTS, 20), answers
        assert grpc_users.is_share(answers[BASELINE], REQUESTS, 10), answers


def test_no_request_of_either_entrance_fails_while_the_weight_changes(proxied: Proxied) -> None:
    with load.Load(proxied.address) as users, grpc_users.asking(proxied.address) as (answers, failed):
        for weight in (100, 0, 50, 5, 100, 0):
            users.wait_for(more=100)
            set_traffic(proxied, weight)
        set_traffic(proxied, 0)
        before = len(answers)
        users.wait_for(more=100)
    assert (users.failed, failed, users.reconnects) == ([], [], 0)
    assert {*users.answers} == {*answers} == {STABLE, CANARY}
    assert {*answers[before + 1 :]} == {STABLE}


def test_shares_that_differ_are_somebody_elses_change_and_are_lowered_all_the_same(proxied: Proxied) -> None:
    set_traffic(proxied, 5)
    table = route_table(Traffic(canary=5), Intent("run-1", next(NUMBERS)))
    (table["resources"][0]["virtual_hosts"][0]["routes"][-2]) = route_table(Traffic(canary=50))["resources"][0]["virtual_hosts"][0][
        "routes"
    ][-2]
    write_aside(proxied.table, json.dumps(table))
    assert _read(proxied) == "the canary's share differs between the entrances: `grpc` 50 %, `rest` 5 %"
    set_traffic(proxied, 0)
    assert proxied.router().traffic() == Traffic()
    assert grpc_users.ask(proxied.address, 50) == {STABLE: 50}


def _read(proxied: Proxied) -> str:
    """What a reading of the traffic says once it does not show the old table any more."""
    while True:
        try:
            assert proxied.router().traffic() == Traffic(canary=5)
        except Diverted as error:
            return str(error).partition(": ")[2]


@pytest.mark.parametrize("entrances", [["grpc"], ["rest", "grpc"]])
def test_a_router_that_divides_rest_alone_is_refused_by_name_for_grpc_when_the_plan_is_read(entrances: list[str]) -> None:
    sentence = (
        "traffic.entrances: traffic.router `nginx` cannot divide gRPC requests; use `gateway` or `istio` or `replicas`, or `rest` alone"
    )
    with pytest.raises(Refused, match=sentence):
        open_router(cast(Api, None), MODEL, plan("nginx", entrances=entrances))


def test_a_plan_that_names_no_entrance_has_all_that_its_router_can_divide() -> None:
    both = (Entrance.REST, Entrance.GRPC)
    expected = {"gateway": both, "istio": both, "replicas": both, "nginx": (Entrance.REST,)}
    assert {kind: open_router(cast(Api, None), MODEL, plan(kind)).entrances for kind in expected} == expected


@pytest.mark.parametrize(("entrances", "sentence"), [(["rest", "rest"], "must name each once"), (["http"], "'http'")])
def test_entrances_that_are_no_choice_are_refused_with_field_and_value(entrances: list[str], sentence: str) -> None:
    with pytest.raises(TfcanaryError, match=rf"traffic\.?.*entrances.*{sentence}"):
        plan("gateway", entrances=entrances)
