"""What would stop a release later, found before its first write; and what it would write, object by object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcanary.adapters.kube import manifests, rights
from tfcanary.adapters.kube.counters import PodCounters, open_metrics, pods_of
from tfcanary.adapters.kube.ownership import check_ours, shown
from tfcanary.adapters.kube.pod_patch import shared_volume
from tfcanary.adapters.kube.running_servers import Fleet, TrackServers
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICE_ACCOUNTS, SERVICES, Resource
from tfcanary.core.domain import ModelVersion, Track, TrafficSplit
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change
from tfcanary.core.record import Record

if TYPE_CHECKING:
    from tfcanary.adapters.routing import ClusterRouter

UNKNOWN = "the-release"
"""A release's run id, before there is one, where its objects are only shown."""
OWN_IMAGE = "the-image-of-the-step"
"""The guard's image where the plan names none: it is known in the step alone."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KubePreflight:
    """`ports.Preflight` for one model in one namespace."""

    fleet: Fleet
    plan: Plan
    router: ClusterRouter

    def check(self, record: Record) -> None:
        """Raises Refused at the first of: what the plan lacks, a right that is missing, an object that is not ours, a step the router cannot do."""
        self._check_plan(record)
        self._check_rights()
        self._check_objects()
        self._check_guard()
        self.router.check(self.plan.weights)
        self._check_namespace()

    def changes(self, version: ModelVersion) -> Iterator[Change]:
        """The version's ConfigMap and Deployment, the Services, the route, the guard: as they are, and as the API server would make them."""
        for resource, body in self._objects(version):
            before = self.fleet.api.get(resource, body["metadata"]["name"])
            yield change(resource, before, self._dry(resource, body))

    def _objects(self, version: ModelVersion) -> Iterator[tuple[Resource, Json]]:
        model, serving = self.fleet.model, self.plan.serving
        yield CONFIG_MAPS, manifests.config_map(model, version, serving)
        present = self.fleet.versions(version.number).get(version.number)
        there = int(present["spec"].get("replicas", 1)) if present else 0
        first = self.plan.bootstrap
        wanted = serving.replicas if first else serving.canary_replicas
        yield DEPLOYMENTS, manifests.deployment(model, version, self.plan, max(wanted, there))
        for track in (Track.STABLE, Track.CANARY):
            selector = self._selector(track, version.number, pointed=first is (track is Track.STABLE))
            yield SERVICES, manifests.service(model, track, selector, serving)
        yield from self.router.objects(TrafficSplit(canary=0))
        if not first and not self.plan.guard.installed:
            image = self.plan.guard.image or OWN_IMAGE
            yield DEPLOYMENTS, manifests.guard(model, self.fleet.api.namespace, UNKNOWN, self.plan, image)

    def _selector(self, track: Track, number: int, pointed: bool) -> Mapping[str, str]:
        """The candidate's pods for its track; else what the Service selects now, if anything."""
        if pointed:
            return object_names.selector(self.fleet.model, number)
        found = self.fleet.service(track)
        selector: Mapping[str, str] | None = found["spec"].get("selector") if found else None
        return selector or object_names.selector(self.fleet.model, None)

    def _dry(self, resource: Resource, body: Json) -> Json:
        try:
            return self.fleet.api.apply(resource, body, dry_run=True, force=resource not in (CONFIG_MAPS, DEPLOYMENTS))
        except Conflict as error:
            raise Refused(str(error)) from error

    def _check_plan(self, record: Record) -> None:
        if not self.plan.serving.image:
            raise Refused("serving.image: is missing; on a cluster it must be TF Serving's image, pinned: <repository>@sha256:<digest>")
        bucket = self.plan.bucket.canary
        if not bucket:
            raise Refused(
                "bucket.canary: is missing; on a cluster it must be gs://bucket/prefix, or a directory that steps and servers share"
            )
        # Patch, CPUs and the length of the name are looked at where the object is made.
        manifests.deployment(self.fleet.model, self._imagined(record), self.plan, 1)
        if bucket.startswith("/") and shared_volume(self.plan.serving.pod_patch, bucket) is None:
            raise Refused(f"bucket.canary {bucket!r}: is a directory, and serving.pod_patch mounts no volume there for container `server`")
        metrics = open_metrics(self.plan, self.fleet, TrackServers(self.fleet))
        if self.plan.metrics.source != "scrape":
            pods_of(object_names.version(self.fleet.model, self._imagined(record).number))
        if isinstance(metrics, PodCounters) and record.stable:
            metrics.check(Track.STABLE)

    def _imagined(self, record: Record) -> ModelVersion:
        """A version as the next one will be."""
        number = (record.stable.number if record.stable else 0) + 1
        return ModelVersion(number, f"{self.plan.bucket.canary.rstrip('/')}/{self.fleet.model}/{number}", "sha256:")

    def _check_rights(self) -> None:
        api = self.fleet.api
        if lacks := rights.lacking(api, rights.of_steps(self.plan.traffic, api.namespace)):
            raise Refused(f"in namespace {api.namespace} we may not: {', '.join(lacks)}; bind the Role in deploy/ to who runs this")

    def _check_objects(self) -> None:
        for track in Track:
            service = self.fleet.service(track)
            check_ours(service, self.fleet.model, self.plan.adopt)
            if service:
                self._check_apart(service)
        check_ours(self.fleet.api.get(DEPLOYMENTS, object_names.guard(self.fleet.model)), self.fleet.model)

    def _check_apart(self, service: Json) -> None:
        """A Service that selects pods of every version would send the canary requests at weight 0."""
        selector = service["spec"].get("selector") or {}
        template = manifests.deployment(self.fleet.model, self._imagined(Record(self.fleet.model, "")), self.plan, 1)["spec"]["template"]
        labels = template["metadata"]["labels"]
        if selector and object_names.VERSION not in selector and all(labels.get(name) == value for name, value in selector.items()):
            raise Refused(
                f"Service {service['metadata']['name']} selects {selector}, and the candidate's pods have these labels, too: "
                "both tracks' requests would go to both; take the labels out of serving.pod_patch"
            )

    def _check_guard(self) -> None:
        account = self.plan.guard.service_account
        if self.plan.guard.installed or not self.fleet.api.is_allowed("get", SERVICE_ACCOUNTS):
            return
        if self.fleet.api.get(SERVICE_ACCOUNTS, account) is None:
            raise Refused(
                f"guard.service_account {account!r}: namespace {self.fleet.api.namespace} has none; apply deploy/, or name another"
            )

    def _check_namespace(self) -> None:
        """Asked with a write that is none: to ask for the namespace itself needs a right of its own."""
        selector = self._selector(Track.CANARY, 0, pointed=False)
        self._dry(SERVICES, manifests.service(self.fleet.model, Track.CANARY, selector, self.plan.serving))


def change(resource: Resource, before: Json | None, after: Json) -> Change:
    """An object before and after, as people compare it."""
    return Change(f"{resource.kind} {after['metadata']['name']}", shown(before) if before else None, shown(after))
