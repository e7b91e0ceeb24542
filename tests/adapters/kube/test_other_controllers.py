"""What the status of other people's objects says of the canary: its share, and for KServe its servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kubeclient.api_server import ApiServer, Told, kubeconfig, status
from tfcanary.adapters.kube.other_controllers import (
    ControllerObject,
    InferenceTracks,
    canary_weight,
    inference_tracks,
    inference_weight,
    rollout_weight,
)
from tfcanary.adapters.metrics.queries import Pattern
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import MetricsPlan


def knative(percent: int, **more: Any) -> dict[str, Any]:
    """An InferenceService with two revisions, as KServe copies them from Knative."""
    traffic = [
        {"latestRevision": True, "percent": percent, "revisionName": "digits-predictor-00008"},
        {"latestRevision": False, "percent": 100 - percent, "revisionName": "digits-predictor-00007", "tag": "prev"},
    ]
    predictor = {"latestReadyRevision": "digits-predictor-00008", "traffic": traffic}
    return {"metadata": {"name": "digits"}, "spec": {"predictor": {}}, "status": {"components": {"predictor": predictor}}, **more}


def standard(*canaries: tuple[str, int], predictor: str = "") -> dict[str, Any]:
    """An InferenceService of plain Deployments, with these canaries."""
    found = [{"name": name, "ready": True, "trafficPercent": percent} for name, percent in canaries]
    return {"metadata": {"name": "digits"}, "spec": {"predictor": {"name": predictor}}, "status": {"canaryStatuses": found}}


def test_the_share_of_a_rollout_is_that_of_its_traffic_router() -> None:
    assert rollout_weight({"status": {"canary": {"weights": {"canary": {"weight": 25}, "stable": {"weight": 75}}}}}) == 25
    assert rollout_weight({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 25}]}}}, "status": {"canary": {}}}) is None


def test_the_share_of_flaggers_canary_is_in_its_status() -> None:
    assert canary_weight({"status": {"canaryWeight": 10}}) == 10
    assert canary_weight({"spec": {"analysis": {"maxWeight": 50}}}) is None


ODD: list[dict[str, Any]] = [{}, {"status": None}, {"status": {"canaryWeight": "10"}}, {"status": {"canaryWeight": 101}}, {"status": []}]


@pytest.mark.parametrize("odd", ODD)
def test_a_status_that_says_nothing_is_an_unknown_share(odd: dict[str, Any]) -> None:
    assert canary_weight(odd) is rollout_weight(odd) is None


def test_the_canary_of_kserve_is_the_newest_of_two_revisions() -> None:
    expected = InferenceTracks("digits-predictor-00007-deployment", "digits-predictor-00008-deployment", "digits-predictor-00008", 10)
    assert inference_tracks(knative(10)) == expected
    assert inference_weight(knative(0)) == 0


def test_without_knative_it_is_the_entry_of_the_canaries() -> None:
    assert inference_tracks(standard(("v8", 25))) == InferenceTracks("digits-predictor", "digits-v8-predictor", "v8", 25)
    assert inference_tracks(standard(("v9", 5), predictor="v8")) == InferenceTracks("digits-v8-predictor", "digits-v9-predictor", "v9", 5)
    with pytest.raises(Refused, match="has the canaries v8, v9: name the two that are compared"):
        inference_tracks(standard(("v8", 5), ("v9", 5)))


def test_one_revision_alone_is_no_canary() -> None:
    alone = {"metadata": {"name": "digits"}, "status": {"components": {"predictor": {"traffic": [knative(10)["status"]]}}}}
    assert inference_tracks(alone) is None
    promoted = knative(100)
    promoted["status"]["components"]["predictor"]["traffic"].pop()
    assert inference_weight(promoted) is None


@pytest.mark.parametrize(
    "uri", ["", "digits", "kube://serving", "kube://serving/pods/digits", "kube://a/rollouts/b/c", "kube://A/rollouts/b"]
)
def test_a_uri_that_names_no_object_is_refused(uri: str) -> None:
    with pytest.raises(Refused, match="must be kube://<namespace>/"):
        ControllerObject(uri)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server.url)))
    yield server
    server.close()


def test_the_selectors_of_kserve_match_the_pods_of_each_side(server: ApiServer) -> None:
    service = ControllerObject("kube://serving/inferenceservices/digits", patience=2)
    server.told = [Told(200, knative(10))]
    found = service.selectors(MetricsPlan())
    assert found[Track.STABLE]["namespace"] == found[Track.CANARY]["namespace"] == "serving"
    pattern = found[Track.CANARY]["pod"]
    assert isinstance(pattern, Pattern)
    assert pattern.text.startswith(r"digits\-predictor\-00008\-deployment-")
    (asked,) = server.asked
    assert asked.path == "/apis/serving.kserve.io/v1beta1/namespaces/serving/inferenceservices/digits"


def test_a_share_that_cannot_be_read_is_unknown_and_stops_nothing(server: ApiServer) -> None:
    rollout = ControllerObject("kube://serving/rollouts/digits", patience=1)
    server.told = [Told(200, {"status": {"canary": {"weights": {"canary": {"weight": 5}}}}}), status(403, "no", "Forbidden")]
    assert rollout.weight() == 5
    assert rollout.weight() is None
    server.told = [status(404, "", "NotFound", name="digits", kind="rollouts")]
    assert rollout.weight() is None


def test_an_inference_service_without_a_canary_can_be_asked_again_later(server: ApiServer) -> None:
    service = ControllerObject("kube://serving/inferenceservices/digits", patience=1)
    server.told = [Told(200, {"metadata": {"name": "digits"}, "status": {}})]
    with pytest.raises(Unavailable, match="its status shows no canary"):
        service.tracks()
