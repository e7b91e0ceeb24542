"""A write is made over the very version of the object that was read, and carries the stamp of the intent behind it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kubeclient.api_server import ApiServer, Told, kubeconfig, status
from tfcanary.adapters.kubeclient import fenced_writes
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.fenced_writes import compare_and_swap, merge_over, stamp_of, with_stamp, write_over
from tfcanary.adapters.kubeclient.object_names import INTENT
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS
from tfcanary.core.domain import Intent
from tfcanary.core.errors import Conflict, Unavailable

STAMP = Intent("run 1", 17)
BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"other": "x"}}}
FOUND = {"metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "annotations": {INTENT: "16 run 0"}}}
RACE = status(409, "the object has been modified", "Conflict", name="a", kind="configmaps")


@pytest.fixture
def api(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(fenced_writes, "PAUSE", 0.001)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server.url)))
    return Api("ns", patience=5)


def test_a_stamp_is_read_as_it_was_written_and_anything_else_is_none() -> None:
    assert stamp_of(with_stamp(BODY, STAMP)) == STAMP
    assert with_stamp(BODY, STAMP)["metadata"]["annotations"]["other"] == "x"
    assert stamp_of(None) is None
    for text in ("", "17", "x run 1", "-1 run"):
        assert stamp_of({"metadata": {"annotations": {INTENT: text}}}) is None
    assert stamp_of({"metadata": {"annotations": None}}) is None


def test_what_is_missing_is_created_and_what_is_there_is_applied_over_its_version(api: Api, server: ApiServer) -> None:
    write_over(api, CONFIG_MAPS, None, BODY, STAMP)
    write_over(api, CONFIG_MAPS, FOUND, BODY, STAMP, force=True)
    created, applied = server.asked
    assert (created.method, applied.method, applied.query["force"]) == ("POST", "PATCH", "true")
    assert "resourceVersion" not in created.body["metadata"]
    assert (applied.body["metadata"]["uid"], applied.body["metadata"]["resourceVersion"]) == ("u", "7")
    assert created.body["metadata"]["annotations"] == applied.body["metadata"]["annotations"] == {"other": "x", INTENT: "17 run 1"}


def test_a_stamp_alone_changes_nothing_else(api: Api, server: ApiServer) -> None:
    merge_over(api, CONFIG_MAPS, FOUND, {}, STAMP)
    (asked,) = server.asked
    assert asked.body == {"metadata": {"resourceVersion": "7", "annotations": {INTENT: "17 run 1"}}}


def test_a_write_that_loses_is_made_again_from_the_reading(api: Api, server: ApiServer) -> None:
    server.told = [RACE, RACE]
    read = count(1)

    def attempt() -> Callable[[], Any]:
        found = {"metadata": {"name": "a", "resourceVersion": str(next(read))}}
        return lambda: merge_over(api, CONFIG_MAPS, found, {}, STAMP)

    compare_and_swap(attempt, "ConfigMap a")
    assert [one.body["metadata"]["resourceVersion"] for one in server.asked] == ["1", "2", "3"]


def test_an_object_that_was_deleted_meanwhile_is_read_again(api: Api, server: ApiServer) -> None:
    server.told = [status(404, 'configmaps "a" not found', "NotFound", name="a", kind="configmaps"), Told()]
    found = iter([FOUND, None])

    def attempt() -> Callable[[], Any]:
        there = next(found)
        return lambda: write_over(api, CONFIG_MAPS, there, BODY, STAMP)

    compare_and_swap(attempt, "ConfigMap a")
    assert [one.method for one in server.asked] == ["PATCH", "POST"]


def test_a_newer_intent_ends_it_at_once() -> None:
    tries = count(1)

    def attempt() -> Callable[[], None]:
        next(tries)
        raise Conflict("a newer intent")

    with pytest.raises(Conflict, match="a newer intent"):
        compare_and_swap(attempt, "ConfigMap a")
    assert next(tries) == 2


def test_a_race_that_is_never_won_is_said_with_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fenced_writes, "PAUSE", 0.0)

    def lose() -> None:
        raise Conflict("somebody wrote")

    with pytest.raises(Unavailable, match="ConfigMap a: somebody else wrote first 10 times in a row"):
        compare_and_swap(lambda: lose, "ConfigMap a")
