"""Takes over a TF Serving that somebody else deployed, as the stable version: labels and a Service, and no pod is restarted.

The pods keep their labels, for another template would be another rollout: the Service of the stable track selects them
by the labels by which their Deployment knows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.ownership import check_ours, labels
from tfcanary.adapters.kube.preflight import change
from tfcanary.adapters.kube.running_servers import Fleet, selector_of
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, SERVICES, Resource
from tfcanary.core.domain import Track, TrafficSplit
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change

Json = dict[str, Any]


def adopt(api: Api, model: str, deployment_name: str, number: int, plan: Plan, dry_run: bool) -> tuple[Change, ...]:
    """Make a Deployment the stable version under this number; returns what changes. May be repeated.

    Raises Refused where there is no such Deployment, where it is another version's already, where a Service or route of the model's
    names is somebody else's and the plan does not adopt it, and where its labels select pods of other Deployments, too.
    """
    from tfcanary.adapters.routing import open_router

    fleet = Fleet(api, object_names.check_model(model))
    object_names.version(model, number)
    found = api.get(DEPLOYMENTS, deployment_name)
    if found is None:
        raise Refused(f"Deployment {deployment_name}: there is none in namespace {api.namespace}")
    _check_free(fleet, found, number)
    _check_alone(api, found)
    check_ours(fleet.service(Track.STABLE), model, plan.adopt)
    router = open_router(api, model, plan)
    router.check((0,))
    objects = [*_objects(fleet, found, number, plan), *router.objects(TrafficSplit(canary=0))]
    changes = tuple(_applied(api, resource, body, plan.adopt, dry_run=True) for resource, body in objects)
    if not dry_run:
        for resource, body in objects[:2]:
            _applied(api, resource, body, plan.adopt, dry_run=False)
        router.set_split(TrafficSplit(canary=0))
    return changes


def _objects(fleet: Fleet, found: Json, number: int, plan: Plan) -> Iterator[tuple[Resource, Json]]:
    """Labels that it has are left as they are: Helm, for one, knows its own objects by them."""
    given = {name: value for name, value in manifests.version_labels(fleet.model, number).items() if name not in labels(found)}
    kept = {name: value for name, value in labels(found).items() if name in (object_names.MODEL, object_names.VERSION)}
    metadata = {"name": found["metadata"]["name"], "labels": {**given, **kept}}
    yield DEPLOYMENTS, {"apiVersion": DEPLOYMENTS.api, "kind": DEPLOYMENTS.kind, "metadata": metadata}
    yield SERVICES, manifests.service(fleet.model, Track.STABLE, selector_of(found), plan.serving)


def _applied(api: Api, resource: Resource, body: Json, force: bool, dry_run: bool) -> Change:
    before = api.get(resource, body["metadata"]["name"])
    try:
        after = api.apply(resource, body, force=force, dry_run=dry_run)
    except Conflict as error:
        raise Refused(f"{error}; `adopt: true` in the plan takes it over") from error
    return change(resource, before, after)


def _check_free(fleet: Fleet, found: Json, number: int) -> None:
    """It is nobody's yet, or this version's already; and the version has no other Deployment."""
    name, has = found["metadata"]["name"], labels(found)
    if has.get(object_names.MODEL, fleet.model) != fleet.model or has.get(object_names.VERSION, str(number)) != str(number):
        raise Refused(
            f"Deployment {name}: is version {has.get(object_names.VERSION)} of {has.get(object_names.MODEL)} already, not version {number}"
        )
    other = fleet.versions(number).get(number)
    if other and other["metadata"]["name"] != name:
        raise Refused(f"Deployment {name}: version {number} of {fleet.model} is Deployment {other['metadata']['name']} already")


def _check_alone(api: Api, found: Json) -> None:
    selector, name = selector_of(found), found["metadata"]["name"]
    for other in api.list(DEPLOYMENTS):
        has = other["spec"]["template"]["metadata"].get("labels") or {}
        if other["metadata"]["name"] != name and all(has.get(label) == value for label, value in selector.items()):
            raise Refused(
                f"Deployment {name}: its labels {selector} select the pods of Deployment {other['metadata']['name']}, too; a Service cannot "
                "tell them apart"
            )
