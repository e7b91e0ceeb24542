"""What may pass is tried again, what may not is not; against a server that answers as the test wants."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.adapters.kubeclient.api_server import ApiServer, Told, kubeconfig, status
from tfcanary.adapters.kubeclient import api as module
from tfcanary.adapters.kubeclient import connect
from tfcanary.adapters.kubeclient.api import Api, NoAnswer
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, HTTP_ROUTES
from tfcanary.core import retry
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable

BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
RACE = status(409, "Operation cannot be fulfilled on configmaps: the object has been modified", "Conflict", name="a", kind="configmaps")

WRITES: dict[str, Callable[[Api], object]] = {
    "apply": lambda api: api.apply(CONFIG_MAPS, BODY),
    "merge": lambda api: api.merge(CONFIG_MAPS, "a", {"data": {"x": "1"}}),
    "patch": lambda api: api.patch(CONFIG_MAPS, "a", [{"op": "replace", "path": "/data/x", "value": "1"}]),
    "create": lambda api: api.create(CONFIG_MAPS, BODY),
    "delete": lambda api: api.delete(CONFIG_MAPS, "a"),
}
CALLS = {"get": lambda api: api.get(CONFIG_MAPS, "a"), **WRITES}


@pytest.fixture
def api(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(module, "PAUSES", replace(module.PAUSES, first=0.01))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server.url, token="secret-token")))
    return Api("ns", patience=20)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_or_starting_is_asked_again(call: str, code: int, api: Api, server: ApiServer) -> None:
    server.told = [status(code), status(code)]
    CALLS[call](api)
    assert len(server.asked) == 3


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_connection_is_asked_again(call: str, api: Api, server: ApiServer) -> None:
    server.told = [Told(how="cut"), Told(how="cut")]
    CALLS[call](api)
    assert len(server.asked) == 3


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [400, 401, 403, 405, 422])
def test_a_refusal_is_not_asked_again(call: str, code: int, api: Api, server: ApiServer) -> None:
    server.told = [status(code, name="a", kind="configmaps")]
    with pytest.raises(Refused, match=f"{code}|as the test wants it"):
        CALLS[call](api)
    assert len(server.asked) == 1


def test_a_server_that_asks_for_time_gets_it(api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=time.monotonic, sleep=slept.append))
    server.told = [Told(429, "slow down", {"Retry-After": "3"})]
    api.get(CONFIG_MAPS, "a")
    assert slept == [3.0]


def test_a_server_that_asks_for_more_time_than_there_is_gets_no_second_question(api: Api, server: ApiServer) -> None:
    server.told = [Told(429, "slow down", {"Retry-After": "3600"})]
    with pytest.raises(Unavailable, match="slow down"):
        api.get(CONFIG_MAPS, "a")
    assert len(server.asked) == 1


def test_a_slow_server_works(api: Api, server: ApiServer) -> None:
    server.told = [Told(after=2.0), Told(after=2.0)]
    assert api.get(CONFIG_MAPS, "a")
    assert api.apply(CONFIG_MAPS, BODY)
    assert len(server.asked) == 2


def test_an_answer_that_never_comes_is_asked_for_again(server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_connection", connect.Connection(timeout=0.2))
    server.told = [Told(how="silent")]
    assert api.get(CONFIG_MAPS, "a")
    assert len(server.asked) == 2


def test_a_server_that_is_away_for_a_while_ends_nothing(api: Api, server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    assert api.get(CONFIG_MAPS, "a")
    server.close()
    back: list[ApiServer] = []
    timer = threading.Timer(0.7, lambda: back.append(ApiServer(server.port)))
    timer.start()
    try:
        with caplog.at_level(logging.WARNING, "tfcanary.adapters.kubeclient"):
            assert api.get(CONFIG_MAPS, "a")
    finally:
        timer.join()
        back[0].close()
    assert len(caplog.messages) == 1
    # The connection that was open is found closed first, where the server is quick to go.
    message = (
        rf"{server.url}: read ConfigMap a in namespace ns: (Connection refused|the connection was closed); trying again for up to 20 s"
    )
    assert re.fullmatch(message, caplog.messages[0])


def test_patience_ends_with_whom_and_why(server: ApiServer, api: Api) -> None:
    server.close()
    with pytest.raises(Unavailable, match=f"the API server at {server.url} did not do it in 1 s; the last try: Connection refused"):
        Api("ns", patience=1).get(CONFIG_MAPS, "a")


@pytest.mark.parametrize("call", WRITES)
def test_two_writes_that_meet_in_the_store_are_no_conflict(call: str, api: Api, server: ApiServer) -> None:
    server.told = [RACE, RACE]
    WRITES[call](api)
    assert len(server.asked) == 3


@pytest.mark.parametrize("call", ["apply", "merge"])
def test_a_compare_and_swap_that_lost_is_a_conflict(call: str, api: Api, server: ApiServer) -> None:
    server.told = [RACE]
    body = {**BODY, "metadata": {"name": "a", "resourceVersion": "7"}}
    with pytest.raises(Conflict, match="ConfigMap a in namespace ns: it was changed meanwhile"):
        api.apply(CONFIG_MAPS, body) if call == "apply" else api.merge(CONFIG_MAPS, "a", body)
    assert len(server.asked) == 1


def test_a_create_whose_answer_was_lost_says_that_it_exists(api: Api, server: ApiServer) -> None:
    server.told = [Told(how="cut"), status(409, reason="AlreadyExists", name="a", kind="configmaps")]
    with pytest.raises(Conflict, match="create ConfigMap a in namespace ns: it exists already"):
        api.create(CONFIG_MAPS, BODY)


def test_a_body_that_does_not_fit_the_schema_is_refused_though_the_server_takes_the_blame(api: Api, server: ApiServer) -> None:
    server.told = [status(500, "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dada: field not declared in schema")]
    with pytest.raises(Refused, match="dada: field not declared in schema"):
        api.apply(CONFIG_MAPS, BODY)
    assert len(server.asked) == 1


def test_a_pod_that_does_not_answer_is_not_asked_again(api: Api, server: ApiServer) -> None:
    server.told = [status(503, "error trying to reach service: dial tcp 10.0.0.7:8501: connect: connection refused")]
    with pytest.raises(NoAnswer, match="pod m-1 in namespace ns: /page on port 8501: 503 error trying to reach service"):
        api.page("m-1", 8501, "/page")
    assert len(server.asked) == 1


def test_a_pod_that_is_silent_is_not_asked_again(server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_connection", connect.Connection(timeout=0.2))
    server.told = [Told(how="silent")]
    with pytest.raises(NoAnswer, match="no answer within"):
        api.page("m-1", 8501, "/page")
    assert len(server.asked) == 1


def test_a_server_that_goes_away_while_a_page_is_read_is_asked_again(api: Api, server: ApiServer) -> None:
    server.told = [Told(how="cut"), status(429), Told(200, "# HELP x\nx 1\n")]
    assert api.page("m-1", 8501, "/monitoring/page?x=1") == "# HELP x\nx 1\n"
    assert server.asked[0].path == "/api/v1/namespaces/ns/pods/m-1:8501/proxy/monitoring/page"
    assert server.asked[0].query == {"x": "1"}


def test_a_page_that_may_not_be_read_is_refused(api: Api, server: ApiServer) -> None:
    words = 'pods "m-1" is forbidden: User "me" cannot get resource "pods/proxy" in API group "" in the namespace "ns"'
    server.told = [status(403, words)]
    with pytest.raises(Refused, match="user me is not allowed to; grant it the verb `get` on `pods/proxy` in API group `` in namespace ns"):
        api.page("m-1", 8501, "/page")


@pytest.mark.parametrize("told", [Told(200, "<html>Log in</html>"), Told(302, ""), Told(200, "[1]")])
def test_something_else_that_answers_is_no_api_server(told: Told, api: Api, server: ApiServer) -> None:
    server.told = [told]
    with pytest.raises(Unavailable, match=r"the server at http://127\.0\.0\.1:.* is not a Kubernetes API server"):
        api.get(CONFIG_MAPS, "a")


def test_a_long_list_comes_in_pages(api: Api, server: ApiServer) -> None:
    first = {"kind": "ConfigMapList", "metadata": {"continue": "more"}, "items": [{"n": 1}]}
    server.told = [Told(200, first), Told(503, "away"), Told(200, {"kind": "ConfigMapList", "metadata": {}, "items": [{"n": 2}]})]
    assert [one["n"] for one in api.list(CONFIG_MAPS, {"a": "b", "c": "d"})] == [1, 2]
    assert server.asked[0].query == {"limit": "500", "labelSelector": "a=b,c=d"}
    assert server.asked[2].query == {"limit": "500", "labelSelector": "a=b,c=d", "continue": "more"}


def test_a_list_without_items_is_empty(api: Api, server: ApiServer) -> None:
    server.told = [Told(200, {"kind": "ConfigMapList", "metadata": {}, "items": None})]
    assert api.list(CONFIG_MAPS) == ()


def test_a_dry_run_is_asked_for_by_name(api: Api, server: ApiServer) -> None:
    api.apply(CONFIG_MAPS, BODY, force=True, dry_run=True)
    assert server.asked[0].query == {"fieldManager": "tfcanary", "force": "true", "dryRun": "All"}
    assert server.asked[0].headers["Content-Type"] == "application/apply-patch+yaml"


def test_a_conflict_with_our_own_earlier_patch_is_none(api: Api, server: ApiServer) -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "tfcanary" using v1', "field": ".data.x"}
    server.told = [status(409, reason="Conflict", causes=[cause])]
    api.apply(CONFIG_MAPS, BODY)
    assert [one.query["force"] for one in server.asked] == ["false", "true"]


def test_a_conflict_names_each_field_and_its_owner(api: Api, server: ApiServer) -> None:
    causes = [
        {"reason": "FieldManagerConflict", "message": 'conflict with "helm"', "field": ".data.x"},
        {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" with subresource "scale" using v1', "field": ".data.y"},
    ]
    server.told = [status(409, reason="Conflict", causes=causes)]
    with pytest.raises(Conflict, match=r"others hold \.data\.x \(owned by helm\), \.data\.y \(owned by kubectl\)"):
        api.apply(CONFIG_MAPS, BODY)


@pytest.mark.parametrize("told", [status(401), status(403, "no"), status(500), Told(how="cut"), Told(200, "x")])
def test_a_token_is_in_no_message(told: Told, api: Api, server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    server.told = [told] * 50
    with pytest.raises(TfcanaryError) as raised, caplog.at_level(logging.DEBUG):
        Api("ns", patience=0.2).get(HTTP_ROUTES, "a")
    assert server.asked[0].headers["Authorization"] == "Bearer secret-token"
    assert "secret-token" not in str(raised.value) + caplog.text
