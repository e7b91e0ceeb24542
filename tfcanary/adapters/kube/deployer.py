"""The Deployer of a cluster: a Deployment for each pool, and a Service for each track that selects one pool's pods.

Stopping is not waited for: a TF Serving pod ignores SIGTERM and serves until it is killed at the end of its grace
period, which is the time that its last requests have. Traffic is moved by routes and Services, never by stopping servers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta

from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.guards import tfcanary_image
from tfcanary.adapters.kube.ownership import check_ours, labels
from tfcanary.adapters.kube.running_servers import RunningServers, TrackServers, pool_at, scaling_of, selector_of, tracks_at
from tfcanary.adapters.kube.serving_flags import is_pulled
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.fenced_writes import compare_and_swap, merge_over, stamp_of, write_over
from tfcanary.adapters.kubeclient.resources import AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, DISRUPTION_BUDGETS, SERVICES, Json, Resource
from tfcanary.core.domain import Intent, Pool, Role, RunningPool, Track
from tfcanary.core.errors import GaveUp, Refused, Unavailable
from tfcanary.core.fencing import admit
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Deployment, Server

IN_FORCE = timedelta(seconds=60)
"""The time until a Service lists the pods that it selects: one second, and a few more while the control plane is busy."""
SETTLE = 2.0
"""Seconds from then until every proxy has followed: proxies are told when we are, and gather changes for a second."""


class KubeDeployer:
    """`ports.Deployer` for one model in one namespace."""

    def __init__(self, running: RunningServers, plan: Plan, tracks: TrackServers) -> None:
        self._running = running
        self._tracks = tracks
        self._api = running.api
        self._model = running.model
        self._plan = plan
        self._known: dict[Pool, tuple[Server, ...]] = {}
        """Servers that were all available when they were last asked."""
        self._least: dict[Pool, int] = {}
        """The sizes that were asked for: an autoscaler needs half a minute to follow."""

    def deploy(self, pool: RunningPool, intent: Intent) -> None:
        """Make the pool's ConfigMap, Deployment and disruption budget, or only raise the number of its pods and stamp; returns without waiting.

        Servers with another template, which another release left and no track points at, are replaced. Raises Conflict where a newer
        intent was there first, Refused where a Deployment of that name is somebody else's, or serves other bytes under the number.
        """
        self._known.pop(pool.pool, None)
        # The counters of servers that come now must not be missed for as long as a list is remembered.
        self._tracks.forget()
        self._least[pool.pool] = pool.least
        self._check_apart(pool)
        present = self._running.deployments(pool.pool).get(pool.pool)
        if present is None or self._is_left_over(present, pool, intent):
            self._configure(pool, intent)
        for config in self._configs(pool.pool):
            self._restamp(CONFIG_MAPS, config["metadata"]["name"], intent)
        compare_and_swap(lambda: self._deployment_write(pool, intent), f"the Deployment of {pool.pool} of {self._model}")
        self._accompany(pool, intent)
        self.scale(pool, intent)

    def scale(self, pool: RunningPool, intent: Intent) -> None:
        """Tell the pool's autoscaler its least number of pods, and whether the pool is held; nothing to do where it has none.

        Raises Conflict where a newer intent has told it already.
        """
        if self._plan.scaling is not None:
            name = object_names.deployment(self._model, pool.pool)
            compare_and_swap(lambda: self._scaling(pool, intent), self._display_name(AUTOSCALERS, name))

    def assign(self, track: Track, pool: Pool | None, intent: Intent) -> None:
        """Let the track's Service select a pool's pods, at least one of which must be available; returns once its endpoints are those.

        A Service that selects them already is stamped only. Raises Conflict where a newer intent was there first, Unavailable where no pod
        is available, GaveUp where the endpoints do not follow, Refused for a Service that is somebody else's.
        """
        name = object_names.service(self._model, track)
        if compare_and_swap(lambda: self._service_write(track, pool, intent), f"Service {name} in namespace {self._api.namespace}"):
            self._await_in_force(track, pool)

    def remove(self, pool: Pool, intent: Intent) -> None:
        """Delete a pool's Deployment, and what it owns, and the ConfigMaps; returns once that is accepted.

        Raises Refused where a track points at the pool, Conflict where a newer intent has deployed it.
        """
        self._known.pop(pool, None)
        compare_and_swap(lambda: self._deletion(pool, intent), f"the Deployment of {pool} of {self._model}")
        for config in self._configs(pool):
            name = config["metadata"]["name"]
            compare_and_swap(lambda name=name: self._config_deletion(name, intent), self._display_name(CONFIG_MAPS, name))  # type: ignore[misc]

    def observe(self, pool: Pool | None = None) -> Deployment:
        """What runs, each server asked itself. With `pool`, the API server is asked only where one of its servers does not say AVAILABLE."""
        if pool is not None:
            return Deployment(servers={pool: found} if (found := self._servers(pool)) else {})
        deployments, services = self._running.deployments(), self._running.services()
        stamps = {track: stamp for track, one in services.items() if (stamp := stamp_of(one))}
        scaling = {pool: scaling_of(one) for pool, one in self._running.autoscalers().items()} if self._plan.scaling else {}
        return Deployment(self._running.all_servers(deployments), tracks_at(services, deployments), stamps, scaling)

    def _servers(self, pool: Pool) -> tuple[Server, ...]:
        again = self._running.with_status(pool, self._known.get(pool, ()))
        if again and all(one.available for one in again):
            return again
        deployment = self._running.deployments(pool).get(pool)
        servers = self._running.servers(pool, deployment) if deployment else ()
        self._known.pop(pool, None)
        if len(servers) >= self._least.get(pool, 1) and all(one.available for one in servers):
            self._known[pool] = servers
        return servers

    def _display_name(self, resource: Resource, name: str) -> str:
        return f"{resource.kind} {name} in namespace {self._api.namespace}"

    # A pool's Deployment and ConfigMaps

    def _deployment_write(self, wanted: RunningPool, intent: Intent) -> Callable[[], object]:
        present, name = self._running.deployments(wanted.pool).get(wanted.pool), object_names.deployment(self._model, wanted.pool)
        if present is None:
            check_ours(self._api.get(DEPLOYMENTS, name), self._model)
            body = self._body(wanted)
            return lambda: write_over(self._api, DEPLOYMENTS, None, body, intent)
        self._check_bytes(present, wanted)
        stamp = admit(stamp_of(present), intent, self._display_name(DEPLOYMENTS, present["metadata"]["name"]))
        if self._is_left_over(present, wanted, intent):
            other = self._body(wanted)
            return lambda: self._replace(present, other, intent)
        there = int(present["spec"].get("replicas", 1))
        if self._plan.scaling and self._autoscaler(wanted.pool):
            # The number is the autoscaler's, which is told the least.
            there = max(there, wanted.least)
        if there >= wanted.least and stamp == stamp_of(present):
            return lambda: None
        more = {"spec": {"replicas": wanted.least}} if wanted.least > there else {}
        return lambda: merge_over(self._api, DEPLOYMENTS, present, more, stamp)

    def _accompany(self, wanted: RunningPool, intent: Intent) -> None:
        """Make what a Deployment of ours owns, where it is missing; one that was adopted has its maker's."""
        deployment = self._running.deployments(wanted.pool).get(wanted.pool)
        if deployment is None or deployment["metadata"]["name"] != object_names.deployment(self._model, wanted.pool):
            return
        objects = [(DISRUPTION_BUDGETS, manifests.disruption_budget(self._model, wanted.pool))]
        if self._plan.scaling:
            objects.append((AUTOSCALERS, manifests.autoscaler(self._model, wanted, self._plan.scaling)))
        for resource, body in objects:
            name, owned = body["metadata"]["name"], manifests.owned(body, deployment)
            compare_and_swap(lambda r=resource, b=owned: self._owned_write(r, b, intent), self._display_name(resource, name))  # type: ignore[misc]

    def _owned_write(self, resource: Resource, body: Json, intent: Intent) -> Callable[[], object]:
        """The write of what a Deployment owns; a former Deployment of the name may have left one, which goes unless this one owns it."""
        name, (owner,) = body["metadata"]["name"], body["metadata"]["ownerReferences"]
        found = self._api.get(resource, name)
        check_ours(found, self._model)
        if found and owner["uid"] in [one["uid"] for one in found["metadata"].get("ownerReferences") or ()]:
            return lambda: None
        stamp = admit(stamp_of(found), intent, self._display_name(resource, name))
        return lambda: write_over(self._api, resource, found, body, stamp, force=True)

    def _autoscaler(self, pool: Pool) -> Json | None:
        return self._api.get(AUTOSCALERS, object_names.deployment(self._model, pool))

    def _scaling(self, wanted: RunningPool, intent: Intent) -> Callable[[], object]:
        found, scaling = self._autoscaler(wanted.pool), self._plan.scaling
        if found is None or scaling is None:
            return lambda: None
        check_ours(found, self._model)
        stamp = admit(stamp_of(found), intent, self._display_name(AUTOSCALERS, found["metadata"]["name"]))
        if scaling_of(found) == wanted.scaling and stamp == stamp_of(found):
            return lambda: None
        most = max(int(found["spec"]["maxReplicas"]), wanted.least)
        spec = {"minReplicas": wanted.least, "maxReplicas": most, "behavior": manifests.scaling_behavior({}, wanted.held)}
        return lambda: merge_over(self._api, AUTOSCALERS, found, {"spec": spec}, stamp)

    def _body(self, wanted: RunningPool) -> Json:
        """The Deployment of a pool. Raises Refused where its pods need tfcanary's own image and nobody knows which it is."""
        image = tfcanary_image(self._api, self._plan) if is_pulled(wanted.version.uri) else ""
        return manifests.deployment(self._model, wanted, self._plan, image)

    def _replace(self, present: Json, body: Json, intent: Intent) -> Json:
        # Not by an update of the template: a Deployment's selector cannot change, and an older tfcanary's has no role.
        self._api.delete(DEPLOYMENTS, present["metadata"]["name"], present)
        return write_over(self._api, DEPLOYMENTS, None, body, intent)

    def _is_left_over(self, present: Json, wanted: RunningPool, intent: Intent) -> bool:
        """Whether a Deployment is another release's, with another template than this release's, and no track points at it."""
        stamp, annotations = stamp_of(present), present["metadata"].get("annotations") or {}
        template = manifests.deployment(self._model, wanted, self._plan)["metadata"]["annotations"][manifests.TEMPLATE]
        if (stamp and stamp.run_id == intent.run_id) or annotations.get(manifests.TEMPLATE) == template:
            return False
        if present["metadata"]["name"] != object_names.deployment(self._model, wanted.pool):
            return False
        return wanted.pool not in tracks_at(self._running.services(), {wanted.pool: present}).values()

    def _check_bytes(self, present: Json, wanted: RunningPool) -> None:
        digest = (present["metadata"].get("annotations") or {}).get(object_names.DIGEST, wanted.version.digest)
        if digest != wanted.version.digest:
            raise Refused(
                f"{wanted.pool} of {self._model} is deployed already as {present['metadata']['name']} with the bytes {digest}, "
                f"not {wanted.version.digest}"
            )

    def _check_apart(self, wanted: RunningPool) -> None:
        """Raises Refused where the serving pool of the version selects this pool's pods, too: an older tfcanary made it, without a role."""
        if wanted.role is Role.SERVING:
            return
        given = manifests.pool_labels(self._model, wanted.pool)
        serving = self._running.deployments(Pool(wanted.pool.number)).get(Pool(wanted.pool.number))
        if serving and selector_of(serving).items() <= given.items():
            raise Refused(
                f"Deployment {serving['metadata']['name']} selects {selector_of(serving)}, and the pods of {wanted.pool} have these labels, "
                "too: an older tfcanary made it; promote a version once without them"
            )

    def _configs(self, pool: Pool) -> list[Json]:
        found = self._api.list(CONFIG_MAPS, {object_names.MODEL: self._model, object_names.VERSION: str(pool.number)})
        return [one for one in found if object_names.pool_of(labels(one)) == pool]

    def _configure(self, wanted: RunningPool, intent: Intent) -> None:
        body = manifests.config_map(self._model, wanted, self._plan.serving)
        name = body["metadata"]["name"]

        def write() -> Callable[[], object]:
            found = self._api.get(CONFIG_MAPS, name)
            check_ours(found, self._model)
            return (lambda: None) if found else (lambda: write_over(self._api, CONFIG_MAPS, None, body, intent))

        compare_and_swap(write, self._display_name(CONFIG_MAPS, name))

    def _restamp(self, resource: Resource, name: str, intent: Intent) -> None:
        def write() -> Callable[[], object]:
            found = self._api.get(resource, name)
            stamp = admit(stamp_of(found), intent, self._display_name(resource, name))
            return (
                (lambda: None) if found is None or stamp == stamp_of(found) else (lambda: merge_over(self._api, resource, found, {}, stamp))
            )

        compare_and_swap(write, self._display_name(resource, name))

    def _deletion(self, pool: Pool, intent: Intent) -> Callable[[], None]:
        present = self._running.deployments(pool).get(pool)
        if present is None:
            return lambda: None
        pointing = [track.value for track, at in tracks_at(self._running.services(), {pool: present}).items() if at == pool]
        if pointing:
            where = " and the ".join(pointing)
            raise Refused(f"{pool} of {self._model} is what the {where} track points at: point it elsewhere first")
        name = present["metadata"]["name"]
        admit(stamp_of(present), intent, self._display_name(DEPLOYMENTS, name))
        return lambda: self._api.delete(DEPLOYMENTS, name, present)

    def _config_deletion(self, name: str, intent: Intent) -> Callable[[], None]:
        found = self._api.get(CONFIG_MAPS, name)
        admit(stamp_of(found), intent, self._display_name(CONFIG_MAPS, name))
        return (lambda: self._api.delete(CONFIG_MAPS, name, found)) if found else (lambda: None)

    # A track's Service

    def _service_write(self, track: Track, pool: Pool | None, intent: Intent) -> Callable[[], bool]:
        """The write to a track's Service, which returns whether its endpoints change."""
        service = self._running.service(track)
        check_ours(service, self._model, self._plan.adopt)
        if service is None and pool is None:
            return lambda: False
        stamp = admit(stamp_of(service), intent, self._display_name(SERVICES, object_names.service(self._model, track)))
        if service and self._points_at(service, pool):
            return self._service_stamp(service, stamp)
        selector = selector_of(self._available(track, pool)) if pool else object_names.selector(self._model, None)
        body = manifests.service(self._model, track, selector, self._plan.serving)

        def write() -> bool:
            # By force: the Service is ours, and a rollback must not be stopped by who edited it by hand.
            write_over(self._api, SERVICES, service, body, stamp, force=True)
            return True

        return write

    def _service_stamp(self, service: Json, stamp: Intent) -> Callable[[], bool]:
        def write() -> bool:
            if stamp != stamp_of(service):
                ours = {"metadata": {"labels": object_names.labels(self._model, "server")}}
                merge_over(self._api, SERVICES, service, ours, stamp)
            return False

        return write

    def _points_at(self, service: Json, pool: Pool | None) -> bool:
        selector = service["spec"].get("selector") or {}
        if pool is None:
            return bool(selector == object_names.selector(self._model, None))
        return pool_at(service, {} if object_names.VERSION in selector else self._running.deployments(pool)) == pool

    def _available(self, track: Track, pool: Pool) -> Json:
        """The pool's Deployment. One server is enough: a rollback goes to what is left of the stable."""
        deployment = self._running.deployments(pool).get(pool)
        if deployment is None:
            raise Refused(f"{pool} of {self._model} is not deployed: the {track.value} track cannot point at it")
        servers = self._running.servers(pool, deployment)
        if not any(one.available for one in servers):
            why = "; ".join(f"{one.name}: {one.message}" for one in servers) or "it has no pods"
            raise Unavailable(f"{pool} of {self._model} has no available server for the {track.value} track: {why}")
        return deployment

    def _await_in_force(self, track: Track, pool: Pool | None) -> None:
        deployment = self._running.deployments(pool).get(pool) if pool else None
        deadline = time.monotonic() + IN_FORCE.total_seconds()
        while True:
            there, ready = self._running.endpoints(track), self._running.ready_addresses(deployment) if deployment else set()
            if there == ready and bool(ready) == bool(deployment):
                break
            if time.monotonic() > deadline:
                raise GaveUp(_not_in_force(object_names.service(self._model, track), pool, there, ready))
            time.sleep(random.uniform(0.1, 0.3))
        if deployment:
            time.sleep(SETTLE)


def _not_in_force(service: str, pool: Pool | None, there: set[str], ready: set[str]) -> str:
    wanted = f"{pool}, whose ready pods are {', '.join(sorted(ready)) or 'none'}" if pool is not None else "nothing"
    return f"Service {service} should point at {wanted}; after {IN_FORCE} its endpoints are {', '.join(sorted(there)) or 'none'}"
