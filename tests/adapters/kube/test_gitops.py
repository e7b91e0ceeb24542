"""A tool that would put our fields back is named before a release, with the lines that tell it to leave these very fields alone."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from tests.adapters.kube.conftest import MakePlace
from tests.adapters.routing.tracks import shift
from tests.cluster.cluster import Cluster
from tests.cluster.site import gateway_object
from tfcanary import __version__, adapters
from tfcanary.adapters.doctor_checks import Requirements
from tfcanary.adapters.kube.gitops import advices
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, SERVICES, Json
from tfcanary.adapters.routing.cluster_router import OwnedFields
from tfcanary.adapters.routing.gateway import HTTP_ROUTES
from tfcanary.adapters.routing.nginx import INGRESSES, WEIGHT
from tfcanary.core.domain import Finding
from tfcanary.core.record import Record

ROUTE = OwnedFields(HTTP_ROUTES, "m", ("/spec/rules",))


def managed(manager: str, fields: Json, **entry: Any) -> Json:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **entry}


def told(owned: OwnedFields, *managers: Json) -> list[str]:
    found = {"metadata": {"name": owned.name, "managedFields": [*managers]}}
    return list(advices(cast(Api, SimpleNamespace(namespace="models", get=lambda resource, name: found)), [owned]))


RULES = {"f:spec": {"f:hostnames": {}, "f:rules": {}}}


@pytest.mark.parametrize(
    ("manager", "tool", "line"),
    [
        ("argocd-controller", "Argo CD", "ignoreDifferences"),
        ("kustomize-controller", "Flux", "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent"),
        ("helm-controller", "Flux's Helm controller", "driftDetection"),
        ("helm", "Helm", "do not upgrade it while a release runs"),
        ("kubectl", "kubectl apply", "do not apply it while a release runs"),
        ("kubectl-client-side-apply", "kubectl apply", "do not apply it while a release runs"),
    ],
)
def test_each_tool_is_named_with_what_to_tell_it(manager: str, tool: str, line: str) -> None:
    (advice,) = told(ROUTE, managed("tfcanary", {"f:spec": {}}), managed(manager, RULES))
    assert advice.startswith(f"HTTPRoute m in namespace models: {tool} owns /spec/rules and would put it back; ")
    assert line in advice


@pytest.mark.parametrize(
    "entry",
    [
        managed("tfcanary", RULES),
        managed("kubectl-edit", RULES),
        managed("argocd-controller", {"f:spec": {"f:hostnames": {}}}),
        managed("argocd-controller", {"f:metadata": {"f:annotations": {}}}),
        managed("envoy-gateway", {"f:status": {}}, subresource="status"),
        {"manager": "argocd-controller"},
    ],
)
def test_who_owns_other_fields_or_edited_once_by_hand_is_no_such_tool(entry: Json) -> None:
    assert told(ROUTE, entry) == []


def test_an_object_that_is_missing_has_no_owner() -> None:
    assert list(advices(cast(Api, SimpleNamespace(namespace="models", get=lambda *_: None)), [ROUTE])) == []


def in_backticks(advice: str) -> Any:
    found = re.search(r"`(.*)`", advice)
    assert found
    return yaml.safe_load(found[1])


def test_the_lines_for_argo_cd_are_for_this_object_and_no_other() -> None:
    (advice,) = told(ROUTE, managed("argocd-controller", RULES))
    line = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "m", "namespace": "models", "jsonPointers": ["/spec/rules"]}
    assert in_backticks(advice) == {"spec": {"ignoreDifferences": [line], "syncPolicy": {"syncOptions": ["RespectIgnoreDifferences=true"]}}}
    (advice,) = told(OwnedFields(SERVICES, "m", ("/spec/selector",)), managed("argocd-controller", {"f:spec": {"f:selector": {}}}))
    (line,) = in_backticks(advice)["spec"]["ignoreDifferences"]
    assert line == {"kind": "Service", "name": "m", "namespace": "models", "jsonPointers": ["/spec/selector"]}


def test_an_annotation_is_named_as_a_json_pointer_names_it() -> None:
    pointer = f"/metadata/annotations/{WEIGHT.replace('/', '~1')}"
    owned = OwnedFields(INGRESSES, "m-canary", (pointer, "/spec/rules"))
    (advice,) = told(owned, managed("helm-controller", {"f:metadata": {"f:annotations": {f"f:{WEIGHT}": {}}}}))
    (rule,) = in_backticks(advice)["spec"]["driftDetection"]["ignore"]
    assert rule == {"paths": [pointer], "target": {"kind": "Ingress", "name": "m-canary"}}


@pytest.mark.slow
def test_on_a_real_server_the_tool_is_told_of_until_the_field_is_ours(
    make: MakePlace, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    place = make()
    cluster.apply([gateway_object()], place.api.namespace)
    spec = {"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": [{"name": "m-stable", "port": 8501}]}]}
    route = {"apiVersion": HTTP_ROUTES.api, "kind": "HTTPRoute", "metadata": {"name": "m"}, "spec": spec}
    cluster.api.apply(route, place.api.namespace, manager="argocd-controller")
    plan = replace(place.plan, adopt=True)
    platform = adapters.open_platform(f"kube://{place.api.namespace}", "m", plan)
    with caplog.at_level(logging.WARNING, "tfcanary.preflight"):
        platform.preflight.check(Record(model="m", writer=__version__))
    assert "Argo CD owns /spec/rules and would put it back" in caplog.text
    found = adapters.examine(f"kube://{place.api.namespace}", Requirements(plan, "m", account="default"))
    (line,) = [one for one in found.evidence if one.about == "doctor/router/route"]
    assert (line.finding, "ignoreDifferences" in line.reason) == (Finding.WARN, True)
    caplog.clear()
    shift(platform.router, 0)
    platform.preflight.check(Record(model="m", writer=__version__))
    assert "Argo CD" not in caplog.text
    assert place.api.list(DEPLOYMENTS) == ()
