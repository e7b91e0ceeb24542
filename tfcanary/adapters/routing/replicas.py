"""The Router without a proxy: one Service over the pods of both tracks, divided by how many each has.

Stable keeps its pods; the canary gets as many as the weight wants beside them. So only some weights can be had, and a
share is what the ready pods make it. Each connection, not each request, is drawn: a client that keeps one open stays.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES, Json, Resource
from tfcanary.adapters.routing import route_objects
from tfcanary.core.domain import Track, TrafficSplit
from tfcanary.core.errors import GaveUp, Refused, Unavailable
from tfcanary.core.plan import Plan

log = logging.getLogger("tfcanary.adapters.routing")

WEIGHT = "tfcanary.dev/weight"
"""Annotation of the Service: the weight that was asked for, which the pods make to within TOLERANCE."""
TOLERANCE = 2.0
"""Points of percent that a share may differ from the weight."""
PATIENCE = 10.0
"""Seconds until the Service lists the pods that it selects: it takes one, and a few more while the control plane is busy."""
PORTS = [
    {"name": "rest", "port": object_names.REST, "targetPort": object_names.REST, "protocol": "TCP", "appProtocol": "http"},
    {"name": "grpc", "port": object_names.GRPC, "targetPort": object_names.GRPC, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
]


def pods_for(weight: int, stable: int) -> int:
    """The pods of the canary whose share beside the stable's comes nearest to a weight between 0 and 100."""
    exact = weight * stable / (100 - weight)
    return min((max(int(exact), 1), int(exact) + 1), key=lambda pods: abs(share_of(pods, stable) - weight))


def share_of(canary: int, stable: int) -> float:
    """The canary's share in percent."""
    return 100 * canary / (canary + stable)


@dataclass(frozen=True, slots=True)
class ReplicasRouter:
    """The Service is called like the model, and is what users call."""

    api: Api
    model: str
    plan: Plan

    def split(self) -> TrafficSplit:
        """Read back from the Service's selector and the pods that are ready; 0 where there is no Service.

        As long as the pods make the weight that was asked for, to within TOLERANCE, it is that weight.
        """
        service = self.api.get(SERVICES, self._name)
        if service is None:
            return TrafficSplit(0)
        selector = service["spec"].get("selector") or {}
        asked = (service["metadata"].get("annotations") or {}).get(WEIGHT, "")
        stable, canary = (selector == self._selector(track) for track in Track)
        if stable and canary:  # a promotion has just pointed both tracks at one version
            return TrafficSplit(100 if asked == "100" else 0)
        if stable or canary:
            return TrafficSplit(100 if canary else 0)
        if selector != self._both:
            raise Unavailable(f"{self._shown}: selects {selector}, which are the pods of neither track nor of both")
        return self._shared(asked)

    def set_split(self, split: TrafficSplit) -> None:
        """Scale the canary, then select; returns once the Service lists the pods. Stable's number of pods is never touched.

        Takes as long as new pods take to be ready, at most `deploy.ready_timeout` (then GaveUp). Raises Conflict where somebody else has
        changed the selector; but 0 is written over everybody's. Refused for a weight that cannot be had.
        """
        if 0 < split.canary < 100:
            self._scale(split.canary)
        for resource, body in self.objects(split):
            self.api.apply(resource, body, force=split.canary == 0)
        self._await(split)

    def check(self, weights: Sequence[int]) -> None:
        """Asks only. Raises Refused where a weight cannot be had with the pods that stable has, naming the nearest that can."""
        service = self.api.get(SERVICES, self._name)
        if service:
            route_objects.check_owner(SERVICES, service, self.model, self.plan.adopt, "its selector")
        between = [weight for weight in weights if 0 < weight < 100]
        if not between or self.plan.bootstrap:
            return
        selector = self._selector(Track.STABLE)
        if object_names.VERSION not in selector:
            raise Refused(
                f"{self._shown}: stable's pods have labels of somebody else ({selector}); first release with another `traffic.router`"
            )
        stable = sum(map(_is_ready, self.api.list(PODS, selector))) or self.plan.serving.replicas
        for weight in between:
            self._pods_for(weight, stable)

    def objects(self, split: TrafficSplit) -> tuple[tuple[Resource, Json], ...]:
        """The Service as `set_split` applies it; it also scales the canary's Deployment. Asks, and writes nothing."""
        service = self.api.get(SERVICES, self._name)
        selector = {0: self._selector(Track.STABLE), 100: self._selector(Track.CANARY)}.get(split.canary, self._both)
        weight = {WEIGHT: str(split.canary)}
        if service is None or route_objects.is_ours(service, self.model):
            spec = {"type": self.plan.serving.service_type.value, "selector": selector, "ports": PORTS}
            return ((SERVICES, route_objects.whole(SERVICES, self._name, self.model, spec, weight)),)
        begun = route_objects.head(SERVICES, self._name)
        return ((SERVICES, {**begun, "metadata": {**begun["metadata"], "annotations": weight}, "spec": {"selector": selector}}),)

    def address(self) -> str:
        """The Service's name in the cluster."""
        return route_objects.address(f"{self._name}.{self.api.namespace}.svc", object_names.REST)

    @property
    def _name(self) -> str:
        return self.plan.traffic.route or self.model

    @property
    def _shown(self) -> str:
        return f"Service {self._name} in namespace {self.api.namespace}"

    @property
    def _both(self) -> dict[str, str]:
        """Of every version's servers: a selector cannot name two. The guard's pod has the model's label, too."""
        return {object_names.MODEL: self.model, "app.kubernetes.io/component": "server"}

    def _selector(self, track: Track) -> dict[str, str]:
        """What the track's Service selects; of nobody's pods where there is none."""
        found = self.api.get(SERVICES, object_names.service(self.model, track))
        return dict((found["spec"].get("selector") if found else None) or object_names.selector(self.model, None))

    def _versions(self) -> tuple[str, str]:
        """Stable's and the canary's, as labels. Raises Unavailable where a track points at none that tfcanary deployed."""
        stable, canary = (self._selector(track).get(object_names.VERSION, object_names.NOTHING) for track in Track)
        for track, version in zip(Track, (stable, canary), strict=True):
            if version == object_names.NOTHING:
                raise Unavailable(
                    f"the canary track of {self.model} gets no weight: the {track.value} track points at no version of tfcanary's"
                )
        return stable, canary

    def _ready(self) -> Counter[str]:
        """Ready pods by version."""
        return Counter(
            pod["metadata"]["labels"].get(object_names.VERSION, "?") for pod in self.api.list(PODS, self._both) if _is_ready(pod)
        )

    def _shared(self, asked: str) -> TrafficSplit:
        ready, (stable, canary) = self._ready(), self._versions()
        if others := sorted(ready.keys() - {stable, canary}):
            raise Unavailable(f"{self._shown}: pods of version {', '.join(others)} take requests beside {stable} and {canary}")
        kept = asked.isdecimal() and ready[canary] and abs(share_of(ready[canary], ready[stable]) - int(asked)) <= TOLERANCE
        return TrafficSplit(int(asked)) if kept else route_objects.share(ready[canary], ready[stable])

    def _pods_for(self, weight: int, stable: int) -> int:
        pods = pods_for(weight, stable)
        near = share_of(pods, stable)
        if abs(near - weight) > TOLERANCE:
            raise Refused(
                f"weights: {weight} % cannot be had with {_counted(stable)} of stable: the nearest is {near:.0f} % ({_counted(pods)} of the canary); "
                "ask for that, run more pods, or use another `traffic.router`"
            )
        return pods

    def _scale(self, weight: int) -> None:
        ready, (stable, canary) = self._ready(), self._versions()
        if others := sorted(ready.keys() - {stable, canary}):
            raise Refused(f"{self._shown}: pods of version {', '.join(others)} run, too, and would take requests; remove them first")
        if not ready[stable]:
            raise Unavailable(f"{self._shown}: stable, version {stable}, has no ready pod to divide requests with")
        pods = self._pods_for(weight, ready[stable])
        deployments = self.api.list(DEPLOYMENTS, object_names.selector(self.model, int(canary)))
        if not deployments:
            raise Unavailable(f"the canary track of {self.model} gets no weight: version {canary} has no Deployment")
        there = deployments[0]["spec"]["replicas"]
        if there != pods:
            at = "/spec/replicas"
            operations = [{"op": "test", "path": at, "value": there}, {"op": "replace", "path": at, "value": pods}]
            self.api.patch(DEPLOYMENTS, deployments[0]["metadata"]["name"], operations)
        self._await_pods(canary, pods)

    def _await_pods(self, version: str, wanted: int) -> None:
        deadline = time.monotonic() + self.plan.deploy.ready_timeout.total_seconds()
        while (ready := self._ready()[version]) != wanted:
            if time.monotonic() > deadline:
                raise GaveUp(
                    f"version {version} of {self.model}: {ready} of {wanted} pods are ready after {self.plan.deploy.ready_timeout}"
                )
            time.sleep(random.uniform(0.3, 0.7))

    def _await(self, split: TrafficSplit) -> None:
        deadline = time.monotonic() + PATIENCE
        while why := self._differs(split):
            if time.monotonic() > deadline:
                if split.canary:
                    raise Unavailable(f"{self._shown}: weight {split.canary} was written, but after {PATIENCE:.0f} s {why}")
                return log.warning("%s: weight 0 was written, but after %.0f s %s", self._shown, PATIENCE, why)
            time.sleep(random.uniform(0.1, 0.3))
        return None

    def _differs(self, split: TrafficSplit) -> str:
        """How the pods that the Service lists differ from those that it should; raises Unavailable where it selects others by now."""
        seen = self.split()
        if seen != split:
            raise Unavailable(
                f"{self._shown}: weight {split.canary} was written, {seen.canary} is read back: its selector or its pods have changed"
            )
        service = self.api.get(SERVICES, self._name)
        selector: Mapping[str, str] = service["spec"].get("selector") or {} if service else {}
        selected = {pod["metadata"]["name"] for pod in self.api.list(PODS, selector) if _is_ready(pod)}
        listed = self._listed()
        return (
            "" if listed == selected else f"it lists {', '.join(sorted(listed)) or 'no pods'}, not {', '.join(sorted(selected)) or 'none'}"
        )

    def _listed(self) -> set[str]:
        slices = self.api.list(ENDPOINT_SLICES, {"kubernetes.io/service-name": self._name})
        endpoints = [one for each in slices for one in each.get("endpoints") or ()]
        return {one["targetRef"]["name"] for one in endpoints if (one.get("conditions") or {}).get("ready") is not False}


def _counted(pods: int) -> str:
    return "1 pod" if pods == 1 else f"{pods} pods"


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return "deletionTimestamp" not in pod["metadata"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
