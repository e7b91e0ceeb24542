"""Events for people, against a server that answers as the test wants: told once, about both objects, and never in the way."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kubeclient.api_server import ApiServer, Asked, Told, kubeconfig, status
from tests.adapters.local.conftest import a_release
from tfcanary import __version__
from tfcanary.adapters.kube.records import KubeRecords
from tfcanary.adapters.kubeclient import api as module
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.core.domain import ModelVersion
from tfcanary.core.record import Record, Release

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WRITTEN = Told(body={"kind": "ConfigMap", "metadata": {"name": "tfcanary-m", "namespace": "ns", "uid": "c-1"}})
DEPLOYMENT = Told(body={"kind": "Deployment", "metadata": {"name": "m-v2", "namespace": "ns", "uid": "d-1"}})
MISSING = status(404, 'deployments.apps "m-v2" not found', "NotFound", name="m-v2", kind="deployments")
CREATED = Told(201, {"kind": "Event", "metadata": {"name": "e"}})
RELEASE = replace(a_release("run 1"), candidate=ModelVersion(2, "/models/m/2", "sha256:2"))


@pytest.fixture
def records(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubeRecords:
    monkeypatch.setattr(module, "PAUSES", replace(module.PAUSES, first=0.01))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server.url, token="secret-token")))
    return KubeRecords(Api("ns", patience=5), Api("ns", patience=0.1), "m")


def record(release: Release) -> Record:
    return Record(model="m", writer=__version__, release=release)


def events(asked: list[Asked]) -> list[Any]:
    return [one.body for one in asked if one.path == "/api/v1/namespaces/ns/events"]


def about(event: Any) -> tuple[str, str, str]:
    return event["involvedObject"]["kind"], event["involvedObject"]["name"], event["involvedObject"]["uid"]


def test_what_the_canary_goes_through_is_told_about_its_deployment_too(server: ApiServer, records: KubeRecords) -> None:
    server.told = [WRITTEN, CREATED, CREATED, DEPLOYMENT, CREATED]
    records.swap(record(RELEASE.happened(NOON, "compare: pass").happened(NOON, "weight 0: errors 4 times stable's")), 1)
    told = events(server.asked)
    assert [(one["reason"], one["type"], about(one)) for one in told] == [
        ("GatePassed", "Normal", ("ConfigMap", "tfcanary-m", "c-1")),
        ("RollingBack", "Warning", ("ConfigMap", "tfcanary-m", "c-1")),
        ("RollingBack", "Warning", ("Deployment", "m-v2", "d-1")),
    ]
    assert {one["reportingComponent"] for one in told} == {"tfcanary"}
    assert told[2]["involvedObject"]["apiVersion"] == "apps/v1"
    assert [one["metadata"]["name"].rpartition(".")[0] for one in told] == ["tfcanary-m", "tfcanary-m", "m-v2"]


def test_a_deployment_that_is_gone_is_told_nothing(server: ApiServer, records: KubeRecords, caplog: pytest.LogCaptureFixture) -> None:
    server.told = [WRITTEN, CREATED, MISSING]
    assert records.swap(record(RELEASE.happened(NOON, "rolled back: errors")), 1) == 2
    assert [about(one)[0] for one in events(server.asked)] == ["ConfigMap"]
    assert caplog.text == ""


def test_a_release_without_a_candidate_asks_for_no_deployment(server: ApiServer, records: KubeRecords) -> None:
    server.told = [WRITTEN, CREATED]
    records.swap(record(replace(RELEASE, candidate=None).happened(NOON, "refused: no SavedModel")), 1)
    assert len(server.asked) == 2


def test_an_event_that_is_told_again_has_the_same_name_and_is_there_once(
    server: ApiServer, records: KubeRecords, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process, or the same one after an answer was lost."""
    exists = status(409, 'events "e" already exists', "AlreadyExists", name="e", kind="events")
    happened = RELEASE.happened(NOON, "validate: pass").happened(NOON, "validate: pass")
    server.told = [WRITTEN, CREATED, CREATED]
    records.swap(record(happened), 1)
    again = KubeRecords(records._api, records._events, "m")
    server.told = [WRITTEN, exists, exists]
    assert again.swap(record(happened), 1) == 2
    names = [one["metadata"]["name"] for one in events(server.asked)]
    assert names[:2] == names[2:]
    assert names[0] != names[1]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "refusal",
    [
        status(403, 'events is forbidden: User "a" cannot create resource "events" in API group "" in the namespace "ns"'),
        status(500),
        Told(how="cut"),
    ],
)
def test_an_event_that_is_refused_harms_no_release(
    server: ApiServer, records: KubeRecords, refusal: Told, caplog: pytest.LogCaptureFixture
) -> None:
    server.told = [WRITTEN, *[refusal] * 50]
    with caplog.at_level(logging.WARNING):
        assert records.swap(record(RELEASE.happened(NOON, "weight 0: errors")), 1) == 2
    assert "no Event for what happened to m" in caplog.text


@pytest.mark.parametrize("word", ["promoted", "rolled back", "refused"])
def test_a_reason_without_an_end_is_cut_to_what_the_server_takes(server: ApiServer, records: KubeRecords, word: str) -> None:
    server.told = [WRITTEN, CREATED, DEPLOYMENT, CREATED]
    records.swap(record(RELEASE.happened(NOON, f"{word}: {'x' * 5000}")), 1)
    assert [len(one["message"]) for one in events(server.asked)] == [1024, 1024]
