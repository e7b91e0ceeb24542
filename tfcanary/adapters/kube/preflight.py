"""The preflight of a release on a cluster: what would stop it later, and what it would write, object by object."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tfcanary.adapters.kube import gitops, manifests, quotas, rights
from tfcanary.adapters.kube.counters import PodCounters, open_metrics, pods_of
from tfcanary.adapters.kube.ownership import check_ours, comparable, is_ours
from tfcanary.adapters.kube.pod_patch import shared_volume
from tfcanary.adapters.kube.running_servers import RunningServers, TrackServers, tracks_at
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import (
    AUTOSCALERS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Json,
    Resource,
)
from tfcanary.adapters.storage.s3 import CONFIG, reads_secret
from tfcanary.core.domain import ModelVersion, Pool, Role, RunningPool, Track, Traffic
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan
from tfcanary.core.plan.cluster import S3_SECRET
from tfcanary.core.ports import Change, Storage
from tfcanary.core.record import Record

if TYPE_CHECKING:
    from tfcanary.adapters.routing import ClusterRouter

log = logging.getLogger("tfcanary.preflight")

NO_POOL = Pool(0)
"""A pool that never runs."""
UNKNOWN = "the-release"
"""The run id of a release before there is one, where its objects are only shown."""
OWN_IMAGE = "the-image-of-the-step"
"""tfcanary's own image where the plan names none: it is known in the step alone."""
NO_BUCKET = "bucket.canary: is missing; it must be gs://bucket/prefix, s3://bucket/prefix, or a directory that steps and servers share"


@dataclass(frozen=True, slots=True)
class KubePreflight:
    """`ports.Preflight` for one model in one namespace."""

    running: RunningServers
    plan: Plan
    router: ClusterRouter
    storage: Storage

    def check(self, record: Record) -> None:
        """Raises Refused at the first thing that would stop the release later.

        These are: what the plan lacks, a missing right, an object that is not ours, a quota without room, a bucket, a stage the router cannot do.

        The bucket is one in S3 that cannot be read from here, or not from the servers' pods. Raises Unavailable where it does not answer.
        A tool that would put our fields back is logged as a warning, with the lines that tell it not to.
        """
        self._check_plan(record)
        self._check_rights()
        self._check_objects()
        self._check_guard()
        self._check_autoscalers()
        self._check_room(record)
        self._check_bucket()
        self.router.check(tuple(map(self.plan.traffic_at, self.plan.weights)))
        self._check_namespace()
        for advice in gitops.advices(self.running.api, (*self.router.owned_fields(), *gitops.of_tracks(self.running.model))):
            log.warning("%s", advice)

    def changes(self, version: ModelVersion) -> Iterator[Change]:
        """The version's ConfigMap, Deployment and disruption budget, the Services, the route, the guard, and the baseline's own objects."""
        wanted = RunningPool(version, least=self.plan.least_of_stable if self.plan.bootstrap else self.plan.serving.canary_replicas)
        for resource, body in self._objects(wanted):
            before = self.running.api.get(resource, body["metadata"]["name"])
            yield change(resource, before, self._dry(resource, body))
            if resource is CONFIG_MAPS:
                yield from self._pool_changes(wanted)
        for pool in self._baseline():
            config = manifests.config_map(self.running.model, pool, self.plan.serving)
            service = manifests.service(
                self.running.model, Track.BASELINE, object_names.selector(self.running.model, pool.pool), self.plan.serving
            )
            for resource, body in ((CONFIG_MAPS, config), (SERVICES, service)):
                yield change(resource, self.running.api.get(resource, body["metadata"]["name"]), self._dry(resource, body))
            yield from self._pool_changes(pool)

    def _baseline(self) -> tuple[RunningPool, ...]:
        """The baseline's pool, where the plan asks for one and a version is stable."""
        deployments = self.running.deployments()
        stable = tracks_at(self.running.services(), deployments).get(Track.STABLE)
        if stable is None or not self.plan.deploy.baseline or self.plan.bootstrap:
            return ()
        digest = (
            (deployments[stable]["metadata"].get("annotations") or {}).get(object_names.DIGEST, "sha256:") if stable in deployments else ""
        )
        return (RunningPool(self._version(stable.number, digest), Role.BASELINE, self.plan.serving.canary_replicas),)

    def _pool_changes(self, wanted: RunningPool) -> Iterator[Change]:
        yield self._deployment_change(wanted)
        budget = manifests.disruption_budget(self.running.model, wanted.pool)
        before = self.running.api.get(DISRUPTION_BUDGETS, budget["metadata"]["name"])
        yield change(DISRUPTION_BUDGETS, before, before or self._dry(DISRUPTION_BUDGETS, budget))
        if self.plan.scaling:
            autoscaler = manifests.autoscaler(self.running.model, wanted, self.plan.scaling)
            before = self.running.api.get(AUTOSCALERS, autoscaler["metadata"]["name"])
            yield change(AUTOSCALERS, before, before or self._dry(AUTOSCALERS, autoscaler))

    def _deployment_change(self, wanted: RunningPool) -> Change:
        """A Deployment that is there keeps its template, and as many pods as it has."""
        present = self.running.deployments(wanted.pool).get(wanted.pool)
        if present is None:
            body = manifests.deployment(self.running.model, wanted, self.plan, self._image)
            return change(DEPLOYMENTS, None, self._dry(DEPLOYMENTS, body))
        replicas = max(int(present["spec"].get("replicas", 1)), wanted.least)
        return change(DEPLOYMENTS, present, {**present, "spec": {**present["spec"], "replicas": replicas}})

    def _objects(self, wanted: RunningPool) -> Iterator[tuple[Resource, Json]]:
        model, serving, first = self.running.model, self.plan.serving, self.plan.bootstrap
        yield CONFIG_MAPS, manifests.config_map(model, wanted, serving)
        for track in (Track.STABLE, Track.CANARY):
            pointed = first is (track is Track.STABLE)
            selector = object_names.selector(model, wanted.pool) if pointed else self._selector(track)
            yield SERVICES, manifests.service(model, track, selector, serving)
        yield from self.router.objects(Traffic())
        if not self.plan.guard.installed:
            yield DEPLOYMENTS, manifests.guard(model, self.running.api.namespace, UNKNOWN, self.plan, self._image)

    @property
    def _image(self) -> str:
        return self.plan.guard.image or OWN_IMAGE

    def _selector(self, track: Track) -> Json:
        """The labels that the track's Service selects now; of no pods where there is no Service."""
        found = self.running.service(track)
        selector: Json | None = found["spec"].get("selector") if found else None
        return selector or object_names.selector(self.running.model, None)

    def _dry(self, resource: Resource, body: Json) -> Json:
        return self.running.api.apply(resource, body, dry_run=True, force=resource not in (CONFIG_MAPS, DEPLOYMENTS))

    def _check_plan(self, record: Record) -> None:
        if not self.plan.serving.image:
            raise Refused("serving.image: is missing; on a cluster it must be TF Serving's image, pinned: <repository>@sha256:<digest>")
        bucket = self.plan.bucket.canary
        if not bucket:
            raise Refused(NO_BUCKET)
        # Patch, CPUs and the length of the name are looked at where the object is made.
        manifests.deployment(self.running.model, self._imagined(record), self.plan)
        if bucket.startswith("/") and shared_volume(self.plan.serving.pod_patch, bucket) is None:
            raise Refused(f"bucket.canary {bucket!r}: is a directory, and serving.pod_patch mounts no volume there for container `server`")
        metrics = open_metrics(self.plan, self.running, TrackServers(self.running))
        if self.plan.metrics.source != "scrape":
            imagined = self._imagined(record).pool
            pods_of(
                object_names.deployment(
                    self.running.model, replace(imagined, role=Role.BASELINE) if self.plan.deploy.baseline else imagined
                )
            )
        if isinstance(metrics, PodCounters) and record.stable:
            metrics.check(Track.STABLE)

    def _imagined(self, record: Record) -> RunningPool:
        """The pool of the next version, as it will be."""
        return RunningPool(self._version((record.stable.number if record.stable else 0) + 1, "sha256:"))

    def _version(self, number: int, digest: str) -> ModelVersion:
        return ModelVersion(number, f"{self.plan.bucket.canary.rstrip('/')}/{self.running.model}/{number}", digest)

    def _check_rights(self) -> None:
        api = self.running.api
        if lacks := rights.lacking(api, rights.of_steps(self.plan.traffic, api.namespace, self.plan.scaling is not None)):
            raise Refused(f"in namespace {api.namespace} we may not: {', '.join(lacks)}; bind the Role in deploy/ to who runs this")

    def _check_objects(self) -> None:
        for track in Track:
            service = self.running.service(track)
            check_ours(service, self.running.model, self.plan.adopt)
            if service:
                self._check_apart(service)
        check_ours(self.running.api.get(DEPLOYMENTS, object_names.guard(self.running.model)), self.running.model)

    def _check_apart(self, service: Json) -> None:
        """Raises Refused for a Service that selects pods of every version: the canary would get its requests at weight 0."""
        selector = service["spec"].get("selector") or {}
        template = manifests.deployment(self.running.model, self._imagined(Record(self.running.model, "")), self.plan)["spec"]["template"]
        labels = template["metadata"]["labels"]
        if selector and object_names.VERSION not in selector and all(labels.get(name) == value for name, value in selector.items()):
            raise Refused(
                f"Service {service['metadata']['name']} selects {selector}, and the candidate's pods have these labels, too: "
                "both tracks' requests would go to both; take the labels out of serving.pod_patch"
            )

    def _check_guard(self) -> None:
        account = self.plan.guard.service_account
        if self.plan.guard.installed or not self.running.api.is_allowed("get", SERVICE_ACCOUNTS):
            return
        if self.running.api.get(SERVICE_ACCOUNTS, account) is None:
            raise Refused(
                f"guard.service_account {account!r}: namespace {self.running.api.namespace} has none; apply deploy/, or name another"
            )

    def _check_autoscalers(self) -> None:
        """Raises Refused where somebody else's autoscaler scales stable's Deployment: the next version would have none, and nobody could hold it."""
        api = self.running.api
        if not api.is_allowed("list", AUTOSCALERS):
            return
        deployments = self.running.deployments()
        stable = deployments.get(tracks_at(self.running.services(), deployments).get(Track.STABLE, NO_POOL))
        for one in api.list(AUTOSCALERS) if stable else ():
            target = one["spec"]["scaleTargetRef"]
            if stable and (target["kind"], target["name"]) == (DEPLOYMENTS.kind, stable["metadata"]["name"]):
                self._check_autoscaler(one, target["name"])

    def _check_autoscaler(self, found: Json, deployment: str) -> None:
        name, ours = f"HorizontalPodAutoscaler {found['metadata']['name']}", is_ours(found, self.running.model)
        if ours and self.plan.scaling is None:
            raise Refused(f"{name}: an earlier plan had `scaling`, and this one has not; the next version would have no autoscaler")
        if not ours:
            makers = "".join(f", which {one['kind']} {one['name']} owns," for one in found["metadata"].get("ownerReferences") or ())
            raise Refused(
                f"{name}{makers} scales Deployment {deployment} of the stable version, and is not tfcanary's: the next version would have no "
                "autoscaler; say `scaling` in the plan, which gives each version its own, and delete this one"
            )

    def _check_room(self, record: Record) -> None:
        """Raises Refused where a quota does not leave room for the servers of the largest stage; what other pools leave goes before."""
        api = self.running.api
        if not api.is_allowed("list", RESOURCE_QUOTAS) or not (found := api.list(RESOURCE_QUOTAS)):
            return
        deployments = self.running.deployments()
        stable = tracks_at(self.running.services(), deployments).get(Track.STABLE)
        sizes = {pool: int(one["spec"].get("replicas", 1)) for pool, one in deployments.items()}
        leaving = sum(size for pool, size in sizes.items() if pool != stable)
        template = manifests.deployment(self.running.model, self._imagined(record), self.plan, self._image)["spec"]["template"]
        more = self._most_servers(sizes.get(stable, 0) if stable else 0) - leaving
        quotas.check(found, api.namespace, max(more, 0), quotas.needs(template))

    def _most_servers(self, stable: int) -> int:
        """The most servers that run beside stable's in this release: the promotion's, and the baseline's until it ends."""
        if self.plan.bootstrap:
            return self.plan.least_of_stable
        stages = self.plan.servers_at(stable)
        return max(stable, self.plan.least_of_stable, *(one.canary for one in stages)) + max(one.baseline for one in stages)

    def _check_bucket(self) -> None:
        """Whoever reads S3 by the Secret of the steps' namespace needs one in the models' namespace, for the servers' pods and the guard."""
        if not self.plan.bucket.canary.startswith("s3://"):
            return
        self.storage.list(f"{self.running.model}/versions/")
        api = self.running.api
        if not reads_secret() or not api.is_allowed("get", SECRETS):
            return
        found = api.get(SECRETS, S3_SECRET)
        if CONFIG.name not in ((found or {}).get("data") or {}):
            what = f"has none with the key `{CONFIG.name}`" if found else "has none"
            raise Refused(f"Secret {S3_SECRET}: namespace {api.namespace} {what}; the servers' pods read {self.plan.bucket.canary} by it")

    def _check_namespace(self) -> None:
        """Raises Refused where the namespace does not exist: tried by a dry run, for to read a namespace needs a right of its own."""
        self._dry(SERVICES, manifests.service(self.running.model, Track.CANARY, self._selector(Track.CANARY), self.plan.serving))


def change(resource: Resource, before: Json | None, after: Json) -> Change:
    """An object before and after, as people compare it."""
    return Change(f"{resource.kind} {after['metadata']['name']}", comparable(before) if before else None, comparable(after))
