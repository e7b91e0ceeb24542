"""The router without a proxy: one Service over the pods of both tracks divides connections by the number of pods that each track has.

Stable keeps its pods; the canary gets as many as the weight needs beside them. So only some weights can be had, and the share in force
follows the pods that are ready. A client that keeps a connection open stays with its pod.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.fenced_writes import compare_and_swap, merge_over, stamp_of
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES, Json, Right
from tfcanary.adapters.routing import route_objects
from tfcanary.adapters.routing.abilities import Ability
from tfcanary.adapters.routing.cluster_router import ClusterRouter, OwnedFields
from tfcanary.adapters.routing.entrances import SERVICE_PORTS
from tfcanary.core.domain import Finding, Intent, Pool, Track, Traffic
from tfcanary.core.durations import written
from tfcanary.core.errors import Diverted, GaveUp, Refused, Unavailable
from tfcanary.core.fencing import admit
from tfcanary.core.plan import TrafficPlan

log = logging.getLogger("tfcanary.adapters.routing")

DIVISION = "tfcanary.dev/division"
"""Annotation of the Service: what was written last, as JSON of a `Division`."""
TOLERANCE = 2.0
"""Points of percent that a share may differ from the weight."""
PATIENCE = 10.0
"""Seconds until the Service lists the pods that it selects: it takes one, and a few more while the control plane is busy."""


def pods_for(weight: int, stable: int) -> int:
    """The pods of the canary whose share beside the stable's comes nearest to a weight between 0 and 100."""
    exact = weight * stable / (100 - weight)
    return min((max(int(exact), 1), int(exact) + 1), key=lambda pods: abs(share_of(pods, stable) - weight))


def share_of(canary: int, stable: int) -> float:
    """The canary's share in percent."""
    return 100 * canary / (canary + stable)


@dataclass(frozen=True, slots=True)
class Division:
    """The division that a write to the Service was made for."""

    weight: int
    """The canary's weight in percent, which the pods make to within TOLERANCE."""
    stable: int = 0
    """The version of the stable track; 0 where it has none that tfcanary deployed."""
    canary: int = 0
    """The version of the canary track, likewise."""
    pods: int = 0
    """The size of the canary's Deployment, where the weight is between 0 and 100."""

    @staticmethod
    def on(service: Json) -> Division:
        """The division that a Service carries; weight 0 where it carries none that can be read."""
        try:
            return Division(**json.loads((service["metadata"].get("annotations") or {})[DIVISION]))
        except (KeyError, TypeError, ValueError):
            return Division(0)


class ReplicasRouter(ClusterRouter):
    """The Service is called like the model, and is what users call."""

    kind = "replicas"
    abilities = frozenset({Ability.WEIGHTS, Ability.GRPC})
    carrier = SERVICES

    @classmethod
    def rights(cls, traffic: TrafficPlan, namespace: str) -> tuple[Right, ...]:
        """No rights beyond those that every release needs."""
        return ()

    @classmethod
    def guard_rights(cls) -> tuple[Right, ...]:
        """No rights beyond those that every guard needs."""
        return ()

    def owned_fields(self) -> tuple[OwnedFields, ...]:
        """The selector of the users' Service, which is ours."""
        return (OwnedFields(SERVICES, self.route, ("/spec/selector",)),)

    def entrance(self) -> tuple[Finding, str]:
        """Pass always: requests come in by the Service alone."""
        return Finding.PASS, f"router `{self.kind}` has no way in but the Service"

    def address(self) -> str:
        """The URL of the Service in the cluster."""
        return route_objects.address(f"{self.route}.{self.api.namespace}.svc", object_names.REST)

    def check(self, stages: Sequence[Traffic]) -> None:
        """Read only. Raises Refused where a weight cannot be had with the pods that stable has, naming the nearest that can."""
        service = self.read()
        if service:
            route_objects.check_owner(SERVICES, service, self.model, self.plan.adopt, "its selector")
        between = [one.canary for one in stages if 0 < one.canary < 100]
        if not between or self.plan.bootstrap:
            return
        selector = self._selector(Track.STABLE)
        if object_names.VERSION not in selector:
            raise Refused(
                f"{self.display_name}: stable's pods have labels of somebody else ({selector}); first release with another `traffic.router`"
            )
        stable = sum(map(_is_ready, self.api.list(PODS, selector))) or self.plan.serving.replicas
        for weight in between:
            self._pods_for(weight, stable)

    def prepare(self, traffic: Traffic, intent: Intent) -> None:
        """Scale the canary, and wait until its pods are ready. Stable's number of pods is never touched.

        Takes at most `deploy.ready_timeout`, then raises GaveUp; Refused for a weight that cannot be had.
        """
        if traffic == Traffic():
            return
        self.admit(self.read(), traffic, intent)
        stable, canary = self._pools()
        if traffic.canary < 100:
            pods = self._pods_for(traffic.canary, self._ready_beside(stable, canary))
            compare_and_swap(lambda: self._scaling(canary, pods, intent), f"Deployment of {canary} of {self.model}")
            self._await_pods(canary, pods)

    def carrier_body(self, found: Json | None, traffic: Traffic) -> Json:
        """The Service's selector, and the division by which it is read back."""
        of_stable, of_canary = (self._selector(track) for track in route_objects.DIVIDED)
        selector = {0: of_stable, 100: of_canary}.get(traffic.canary, self._both)
        stable, canary = object_names.pool_of(of_stable), object_names.pool_of(of_canary)
        pods = self._size(canary) if canary and 0 < traffic.canary < 100 else 0
        division = Division(traffic.canary, stable.number if stable else 0, canary.number if canary else 0, pods)
        notes = {DIVISION: json.dumps(asdict(division))}
        if found is None or route_objects.is_ours(found, self.model):
            spec = {"type": self.plan.serving.service_type.value, "selector": selector, "ports": [*SERVICE_PORTS]}
            return route_objects.whole(SERVICES, self.route, self.model, spec, notes)
        return {**route_objects.head(SERVICES, self.route, notes), "spec": {"selector": selector}}

    def traffic_in(self, found: Json | None) -> Traffic:
        """The traffic that the selector and the size of the canary's Deployment make; without a Service the canary has none.

        Neither stable's size nor readiness counts: an autoscaler and lost pods change the share, and are no change by somebody else. Raises
        Diverted where the Service selects pods of neither track, or of other pools, too.
        """
        if found is None:
            return Traffic()
        selector, division = found["spec"].get("selector") or {}, Division.on(found)
        if selector == self._both:
            return self._traffic_by_size(division)
        pool = object_names.pool_of(selector)
        if division.weight == 100 and pool == Pool(division.canary):
            # Also while a promotion points both tracks at one version.
            return Traffic(canary=100)
        if selector == self._selector(Track.STABLE):
            return Traffic()
        if pool is None and object_names.VERSION not in selector:
            raise Diverted(f"{self.display_name}: selects {selector}, which are the pods of neither track nor of both")
        return Traffic(canary=100)

    def await_in_force(self, traffic: Traffic, intent: Intent, written: Json) -> None:
        """Wait until the Service lists the pods that it selects. Pods that still are listed at weight 0 are logged only."""
        self.check_read_back(written, traffic, intent)
        deadline = time.monotonic() + PATIENCE
        while why := self._endpoint_difference():
            if time.monotonic() > deadline:
                if traffic != Traffic():
                    raise Unavailable(f"{self.display_name}: weight {traffic.canary} was written, but after {PATIENCE:.0f} s {why}")
                return log.warning("%s: weight 0 was written, but after %.0f s %s", self.display_name, PATIENCE, why)
            time.sleep(random.uniform(0.1, 0.3))
            self.check_read_back(self.read(), traffic, intent)
        return None

    @property
    def _both(self) -> dict[str, str]:
        """The labels of every pool's servers, for a selector cannot name two pools; the guard's pod has the model's label only."""
        return {object_names.MODEL: self.model, "app.kubernetes.io/component": "server"}

    def _selector(self, track: Track) -> dict[str, str]:
        """The labels that the track's Service selects; of no pods where there is no Service."""
        found = self.api.get(SERVICES, object_names.service(self.model, track))
        return dict((found["spec"].get("selector") if found else None) or object_names.selector(self.model, None))

    def _pools(self) -> tuple[Pool, Pool]:
        """Stable's pool and the canary's. Raises Unavailable where a track points at none that tfcanary deployed."""
        pools = []
        for track in route_objects.DIVIDED:
            pool = object_names.pool_of(self._selector(track))
            if pool is None:
                raise Unavailable(
                    f"the canary track of {self.model} gets no weight: the {track.value} track points at no version of tfcanary's"
                )
            pools.append(pool)
        return pools[0], pools[1]

    def _ready(self) -> Counter[Pool]:
        """Ready pods by their pool."""
        pools = [object_names.pool_of(pod["metadata"]["labels"]) for pod in self.api.list(PODS, self._both) if _is_ready(pod)]
        return Counter(pool for pool in pools if pool)

    def _ready_beside(self, stable: Pool, canary: Pool) -> int:
        """How many pods of stable are ready. Raises Refused where other pools would take requests, Unavailable where none is ready."""
        ready = self._ready()
        if others := sorted(ready.keys() - {stable, canary}):
            names = ", ".join(map(str, others))
            raise Refused(f"{self.display_name}: pods of {names} run, too, and would take requests; remove them first")
        if not ready[stable]:
            raise Unavailable(f"{self.display_name}: stable, {stable}, has no ready pod to divide requests with")
        return ready[stable]

    def _traffic_by_size(self, division: Division) -> Traffic:
        sizes = {pool: int(one["spec"].get("replicas", 1)) for one in self._deployments() if (pool := _pool(one))}
        stable, canary = Pool(division.stable), Pool(division.canary)
        if others := sorted(pool for pool, size in sizes.items() if size and pool not in (stable, canary)):
            there = ", ".join(map(str, others))
            raise Diverted(f"{self.display_name}: pods of {there} take requests beside {stable} and {canary}")
        if sizes.get(stable) and sizes.get(canary) == division.pods:
            return Traffic(canary=division.weight)
        return route_objects.share(sizes.get(canary, 0), sizes.get(stable, 0))

    def _deployments(self, pool: Pool | None = None) -> tuple[Json, ...]:
        """The Deployments of the model's servers, or those of one pool."""
        labels = {object_names.MODEL: self.model, **({object_names.VERSION: str(pool.number)} if pool else {})}
        return tuple(one for one in self.api.list(DEPLOYMENTS, labels) if pool is None or _pool(one) == pool)

    def _deployment(self, pool: Pool) -> Json:
        found = self._deployments(pool)
        if not found:
            raise Unavailable(f"the canary track of {self.model} gets no weight: {pool} has no Deployment")
        return found[0]

    def _size(self, pool: Pool) -> int:
        return int(self._deployment(pool)["spec"].get("replicas", 1))

    def _pods_for(self, weight: int, stable: int) -> int:
        pods = pods_for(weight, stable)
        near = share_of(pods, stable)
        if abs(near - weight) > TOLERANCE:
            raise Refused(
                f"weights: {weight} % cannot be had with {_pod_count(stable)} of stable: the nearest is {near:.0f} % ({_pod_count(pods)} of the canary); "
                "ask for that, run more pods, or use another `traffic.router`"
            )
        return pods

    def _scaling(self, canary: Pool, pods: int, intent: Intent) -> Callable[[], object]:
        found = self._deployment(canary)
        stamp = admit(stamp_of(found), intent, f"Deployment {found['metadata']['name']} in namespace {self.api.namespace}")
        if found["spec"].get("replicas", 1) == pods and stamp == stamp_of(found):
            return lambda: None
        return lambda: merge_over(self.api, DEPLOYMENTS, found, {"spec": {"replicas": pods}}, stamp)

    def _await_pods(self, pool: Pool, wanted: int) -> None:
        deadline = time.monotonic() + self.plan.deploy.ready_timeout.total_seconds()
        while (ready := self._ready()[pool]) != wanted:
            if time.monotonic() > deadline:
                raise GaveUp(f"{pool} of {self.model}: {ready} of {wanted} pods are ready after {written(self.plan.deploy.ready_timeout)}")
            time.sleep(random.uniform(0.3, 0.7))

    def _endpoint_difference(self) -> str:
        """How the pods that the Service lists differ from those that it should list; empty where they do not."""
        service = self.read()
        selector: Mapping[str, str] = service["spec"].get("selector") or {} if service else {}
        selected = {pod["metadata"]["name"] for pod in self.api.list(PODS, selector) if _is_ready(pod)}
        listed = self._endpoint_pods()
        there = ", ".join(sorted(listed)) or "no pods"
        return "" if listed == selected else f"it lists {there}, not {', '.join(sorted(selected)) or 'none'}"

    def _endpoint_pods(self) -> set[str]:
        slices = self.api.list(ENDPOINT_SLICES, {"kubernetes.io/service-name": self.route})
        endpoints = [one for each in slices for one in each.get("endpoints") or ()]
        return {one["targetRef"]["name"] for one in endpoints if (one.get("conditions") or {}).get("ready") is not False}


def _pool(deployment: Json) -> Pool | None:
    return object_names.pool_of(deployment["metadata"].get("labels") or {})


def _pod_count(pods: int) -> str:
    return "1 pod" if pods == 1 else f"{pods} pods"


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return "deletionTimestamp" not in pod["metadata"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
