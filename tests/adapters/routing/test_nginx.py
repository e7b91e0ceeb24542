"""The weight in the annotation of a second Ingress: written, read back, and divided by a real Envoy that reads it as NGINX does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.routing.tracks import MODEL, plan, shift, stages
from tests.cluster.cluster import Cluster
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing import open_router
from tfcanary.adapters.routing.nginx import AFFINITY, CANARY, INGRESSES, TOTAL, WEIGHT, NginxRouter
from tfcanary.core.domain import Traffic
from tfcanary.core.errors import Diverted, Refused, Unavailable

pytestmark = pytest.mark.slow


def router(api: Api, gateway: str = "nginx", adopt: bool = False, **traffic: Any) -> NginxRouter:
    made = open_router(api, MODEL, plan("nginx", gateway=gateway, adopt=adopt, **traffic))
    assert isinstance(made, NginxRouter)
    return made


def ingress(name: str, service: str, path: str = "/", **notes: str) -> Json:
    backend = {"service": {"name": service, "port": {"number": 8501}}}
    rules = [{"host": "m.example.com", "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}]
    metadata = {"name": name, "annotations": notes}
    return {"apiVersion": INGRESSES.api, "kind": "Ingress", "metadata": metadata, "spec": {"ingressClassName": "theirs", "rules": rules}}


def theirs(cluster: Cluster, api: Api, *documents: Json) -> None:
    for document in documents:
        cluster.api.apply(document, api.namespace, manager="helm")


def found(api: Api, name: str) -> Json:
    ingress = api.get(INGRESSES, name)
    assert ingress
    return ingress


def annotate(cluster: Cluster, api: Api, **notes: str) -> None:
    """By hand."""
    path = f"{INGRESSES.path(api.namespace, 'm-canary')}?fieldManager=kubectl-edit"
    cluster.api.merge(path, {"metadata": {"annotations": notes}})


def test_a_weight_is_read_back_from_the_annotation(api: Api) -> None:
    made = router(api, hostnames=["m.example.com"])
    assert made.traffic() == Traffic(canary=0)
    for weight in (0, 5, 99, 100, 50, 0):
        shift(made, weight)
        assert made.traffic() == Traffic(canary=weight)
    main, canary = found(api, "m"), found(api, "m-canary")
    assert main["spec"]["ingressClassName"] == canary["spec"]["ingressClassName"] == "nginx"
    assert main["spec"]["rules"][0]["host"] == canary["spec"]["rules"][0]["host"] == "m.example.com"


def test_nobody_stays_with_the_canary_by_a_cookie(api: Api) -> None:
    shift(router(api), 5)
    assert found(api, "m-canary")["metadata"]["annotations"][AFFINITY] == "legacy"


def test_without_a_class_only_weight_0_can_be_had(api: Api) -> None:
    made = router(api, gateway="")
    shift(made, 0)
    assert api.list(INGRESSES) == ()
    for ask in (lambda: made.check(stages(5)), lambda: shift(made, 5)):
        with pytest.raises(Refused, match=r"traffic\.gateway: must name the class of the ingress, for Ingress m in .* not exist"):
            ask()


def test_an_ingress_of_somebody_else_is_refused_unless_the_plan_adopts_it(cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, ingress("m", "m-stable"))
    with pytest.raises(Refused, match=r"Ingress m in namespace .* was not made by tfcanary for m: `adopt: true`"):
        router(api).check(stages(5))
    router(api, adopt=True).check(stages(5))
    api.delete(INGRESSES, "m")
    theirs(cluster, api, ingress("m-canary", "m-canary"))
    with pytest.raises(Refused, match=r"Ingress m-canary in namespace .* was not made by tfcanary"):
        router(api).check(stages(5))


def test_an_ingress_that_leads_elsewhere_is_refused(cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, ingress("m", "old-model"))
    with pytest.raises(Refused, match=r"Ingress m in namespace .*: leads to old-model; must lead to m-stable alone"):
        router(api, adopt=True).check(stages(5))
    only = {"defaultBackend": {"service": {"name": "m-stable", "port": {"number": 8501}}}}
    theirs(cluster, api, {**ingress("n", "m-stable"), "spec": only})
    with pytest.raises(Refused, match=r"Ingress n in namespace .*: has no rules"):
        router(api, adopt=True, route="n").check(stages(5))


def test_an_adopted_ingress_stays_as_it_is_and_the_second_is_like_it(cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, ingress("m", "m-stable", "/v1/models/m"))
    made, before = router(api, adopt=True), found(api, "m")
    shift(made, 0)
    shift(made, 20)
    assert made.traffic() == Traffic(canary=20)
    assert found(api, "m") == before
    canary = found(api, "m-canary")["spec"]
    assert canary["ingressClassName"] == "theirs"
    (path,) = canary["rules"][0]["http"]["paths"]
    assert (canary["rules"][0]["host"], path["path"], path["backend"]["service"]["name"]) == ("m.example.com", "/v1/models/m", "m-canary")


def test_a_hand_on_the_weight_stops_a_rising_one_and_no_falling_one(cluster: Cluster, api: Api) -> None:
    made = router(api)
    shift(made, 10)
    annotate(cluster, api, **{WEIGHT: "60"})
    assert made.traffic() == Traffic(canary=60)
    with pytest.raises(Refused, match=r"canary-weight.* \(owned by kubectl-edit\)"):
        shift(made, 20)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)


def test_another_total_is_read_as_percent(cluster: Cluster, api: Api) -> None:
    made = router(api)
    shift(made, 10)
    for total, weight in {"1000": 1, "40": 25}.items():
        annotate(cluster, api, **{TOTAL: total})
        assert made.traffic() == Traffic(canary=weight)


def test_a_second_ingress_that_is_no_canary_by_now_is_said_and_led_back(cluster: Cluster, api: Api) -> None:
    made = router(api)
    shift(made, 10)
    annotate(cluster, api, **{CANARY: "false"})
    with pytest.raises(Diverted, match=r"Ingress m-canary in namespace .*: is no canary Ingress"):
        made.traffic()
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)


def test_without_the_first_ingress_nobody_gets_to_the_canary(api: Api) -> None:
    made = router(api)
    shift(made, 10)
    api.delete(INGRESSES, "m")
    assert made.traffic() == Traffic(canary=0)
    shift(made, 0)
    shift(made, 20)
    assert made.traffic() == Traffic(canary=20)


def test_users_go_to_the_host_or_to_what_the_controller_says(cluster: Cluster, api: Api) -> None:
    assert router(api, hostnames=["m.example.com"]).address() == "http://m.example.com"
    shift(router(api), 0)
    with pytest.raises(Unavailable, match=r"Ingress m in namespace .*: has no address yet"):
        router(api).address()
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}
    cluster.api.merge(f"{INGRESSES.path(api.namespace, 'm')}/status", status)
    assert router(api).address() == "http://10.1.2.3"
