"""The adoption of a TF Serving that somebody else deployed, as the stable version: labels and a Service, and no pod is restarted.

The pods keep their labels, for another template would be another rollout: the Service of the stable track selects them
by the labels by which their Deployment knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.ownership import check_ours, labels
from tfcanary.adapters.kube.preflight import change
from tfcanary.adapters.kube.running_servers import RunningServers, selector_of
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.api_errors import ForeignFields
from tfcanary.adapters.kubeclient.fenced_writes import compare_and_swap, stamp_of, write_over
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, SERVICES, Json, Resource
from tfcanary.core.domain import Intent, Pool, Track, Traffic
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.fencing import admit
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change

ADOPTION = Intent("adoption", 0)
"""The intent of the writes of an adoption, which is older than any release's."""


def adopt(api: Api, model: str, deployment_name: str, number: int, plan: Plan, dry_run: bool) -> tuple[Change, ...]:
    """Make a Deployment the stable version under this number; returns what changes. May be repeated.

    Raises Refused where there is no such Deployment, where it is another version's already, where a Service or route of the model's
    names is somebody else's and the plan does not adopt it, and where its labels select pods of other Deployments, too.
    """
    from tfcanary.adapters.routing import open_router

    running = RunningServers(api, object_names.valid_model(model))
    object_names.deployment(model, Pool(number))
    found = api.get(DEPLOYMENTS, deployment_name)
    if found is None:
        raise Refused(f"Deployment {deployment_name}: there is none in namespace {api.namespace}")
    _check_free(running, found, number)
    _check_alone(api, found)
    check_ours(running.service(Track.STABLE), model, plan.adopt)
    router = open_router(api, model, plan)
    router.check((Traffic(),))
    objects = [*_objects(running, found, number, plan), *router.objects(Traffic())]
    changes = tuple(_apply(api, resource, body, plan.adopt, dry_run=True) for resource, body in objects)
    if not dry_run:
        (_, deployment), (_, service) = objects[:2]
        _apply(api, DEPLOYMENTS, deployment, plan.adopt, dry_run=False)
        try:
            compare_and_swap(lambda: _service_write(running, service, plan.adopt), service["metadata"]["name"])
            router.set_traffic(Traffic(), ADOPTION)
        except Conflict as error:
            raise Refused(f"{model} has been released already: {error}") from error
    return changes


def _service_write(running: RunningServers, body: Json, force: bool) -> Callable[[], Json]:
    found = running.service(Track.STABLE)
    stamp = admit(stamp_of(found), ADOPTION, f"Service {body['metadata']['name']} in namespace {running.api.namespace}")
    return lambda: write_over(running.api, SERVICES, found, body, stamp, force)


def _objects(running: RunningServers, found: Json, number: int, plan: Plan) -> Iterator[tuple[Resource, Json]]:
    """The labels that the Deployment lacks, and a Service over its pods. Labels that it has stay, for Helm knows its objects by them."""
    given = {name: value for name, value in manifests.pool_labels(running.model, Pool(number)).items() if name not in labels(found)}
    kept = {name: value for name, value in labels(found).items() if name in (object_names.MODEL, object_names.VERSION, object_names.ROLE)}
    metadata = {"name": found["metadata"]["name"], "labels": {**given, **kept}}
    yield DEPLOYMENTS, {"apiVersion": DEPLOYMENTS.api, "kind": DEPLOYMENTS.kind, "metadata": metadata}
    yield SERVICES, manifests.service(running.model, Track.STABLE, selector_of(found), plan.serving)


def _apply(api: Api, resource: Resource, body: Json, force: bool, dry_run: bool) -> Change:
    before = api.get(resource, body["metadata"]["name"])
    try:
        after = api.apply(resource, body, force=force, dry_run=dry_run)
    except ForeignFields as error:
        raise Refused(f"{error}; `adopt: true` in the plan takes it over") from error
    return change(resource, before, after)


def _check_free(running: RunningServers, found: Json, number: int) -> None:
    """Raises Refused where the Deployment is another version's already, or the version has another Deployment."""
    name, has = found["metadata"]["name"], labels(found)
    if has.get(object_names.MODEL, running.model) != running.model or has.get(object_names.VERSION, str(number)) != str(number):
        raise Refused(
            f"Deployment {name}: is version {has.get(object_names.VERSION)} of {has.get(object_names.MODEL)} already, not version {number}"
        )
    other = running.deployments(Pool(number)).get(Pool(number))
    if other and other["metadata"]["name"] != name:
        raise Refused(f"Deployment {name}: version {number} of {running.model} is Deployment {other['metadata']['name']} already")


def _check_alone(api: Api, found: Json) -> None:
    selector, name = selector_of(found), found["metadata"]["name"]
    for other in api.list(DEPLOYMENTS):
        has = other["spec"]["template"]["metadata"].get("labels") or {}
        if other["metadata"]["name"] != name and all(has.get(label) == value for label, value in selector.items()):
            raise Refused(
                f"Deployment {name}: its labels {selector} select the pods of Deployment {other['metadata']['name']}, too; a Service cannot "
                "tell them apart"
            )
