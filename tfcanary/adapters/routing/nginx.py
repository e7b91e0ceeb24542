"""The Router over ingress-nginx: a second Ingress with canary annotations beside the one that users' requests come by.

The first Ingress leads to stable and never changes with the weight. REST only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import INGRESSES, Json, Resource
from tfcanary.adapters.routing import route_objects
from tfcanary.core.domain import Track, TrafficSplit
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan

PREFIX = "nginx.ingress.kubernetes.io/"
CANARY = f"{PREFIX}canary"
WEIGHT = f"{PREFIX}canary-weight"
TOTAL = f"{PREFIX}canary-weight-total"
AFFINITY = f"{PREFIX}affinity-canary-behavior"
"""`legacy`: else whoever has a cookie of the canary stays with it, even at weight 0."""
CLASS = "kubernetes.io/ingress.class"
"""Older than `ingressClassName`, and still used."""


@dataclass(frozen=True, slots=True)
class NginxRouter:
    """The annotations themselves count as in force: the controller reports nothing about them."""

    api: Api
    model: str
    plan: Plan

    def split(self) -> TrafficSplit:
        """Read back from the annotations; 0 where either Ingress is missing. Raises Unavailable where they lead elsewhere."""
        canary, main = self.api.get(INGRESSES, self._second), self.api.get(INGRESSES, self._first)
        return self._split_in(main, canary) if canary and main else TrafficSplit(0)

    def set_split(self, split: TrafficSplit) -> None:
        """Write the weight, and the Ingresses where there are none; returns once read back.

        Raises Conflict where somebody else has changed them; but 0 is written over everybody's.
        """
        for resource, body in self.objects(split):
            self.api.apply(resource, body, force=split.canary == 0)
        seen = self.split()
        if seen != split:
            raise Unavailable(
                f"{self._shown(self._second)}: weight {split.canary} was written, {seen.canary} is read back: somebody else writes it, too"
            )

    def check(self, weights: Sequence[int]) -> None:
        """Asks only. Raises Refused where a release would stop later. Any weight can be had: the Ingresses alone are looked at."""
        main, canary = self.api.get(INGRESSES, self._first), self.api.get(INGRESSES, self._second)
        if main is None:
            self._check_class()
        elif not main["spec"].get("rules"):
            raise Refused(f"{self._shown(self._first)}: has no rules, so no second Ingress can be joined to it; give it one")
        self._check_one(main, Track.STABLE, "its requests, and changes nothing of it")
        self._check_one(canary, Track.CANARY, "its rules and annotations")

    def objects(self, split: TrafficSplit) -> tuple[tuple[Resource, Json], ...]:
        """What `set_split` applies, in order. Asks, and writes nothing."""
        main, canary = self.api.get(INGRESSES, self._first), self.api.get(INGRESSES, self._second)
        if main is None and not self.plan.traffic.gateway:
            if split.canary:
                self._check_class()
            return ((INGRESSES, self._canary(canary, split)),) if canary else ()
        first = self._main() if main is None or route_objects.is_ours(main, self.model) else None
        # On the way down it keeps its own rules: those of the first may have become what cannot be written.
        like = canary if canary and not split.canary else main or self._main()
        second = self._canary(like, split) if canary or split.canary else None
        # On the way up the first must be there for the second; on the way down the second is what matters.
        ordered = (first, second) if split.canary else (second, first)
        return tuple((INGRESSES, body) for body in ordered if body)

    def address(self) -> str:
        """The first host name; else the address that the controller has given the Ingress."""
        main = self.api.get(INGRESSES, self._first) or self._main()
        hosts = [*self.plan.traffic.hostnames, *(rule["host"] for rule in main["spec"].get("rules") or () if "host" in rule)]
        for host in hosts:
            if "*" not in host:
                return route_objects.address(host)
        given = main.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
        if not given:
            raise Unavailable(f"{self._shown(self._first)}: has no address yet, and the plan names no `traffic.hostnames`")
        return route_objects.address(given[0].get("hostname") or given[0]["ip"])

    @property
    def _first(self) -> str:
        return self.plan.traffic.route or self.model

    @property
    def _second(self) -> str:
        return f"{self._first}-canary"

    def _shown(self, name: str) -> str:
        return f"Ingress {name} in namespace {self.api.namespace}"

    def _check_one(self, found: Json | None, track: Track, part: str) -> None:
        if found is None:
            return
        route_objects.check_owner(INGRESSES, found, self.model, self.plan.adopt, part)
        shown, wanted = self._shown(found["metadata"]["name"]), object_names.service(self.model, track)
        if others := [one for one in _backends(found) or ["nothing"] if one != wanted]:
            raise Refused(f"{shown}: leads to {', '.join(others)}; must lead to {wanted} alone; move the others to another Ingress")

    def _check_class(self) -> None:
        if not self.plan.traffic.gateway:
            raise Refused(f"traffic.gateway: must name the class of the ingress, for {self._shown(self._first)} does not exist")

    def _main(self) -> Json:
        rules = [_rule(host, object_names.service(self.model, Track.STABLE)) for host in self.plan.traffic.hostnames or ("",)]
        return route_objects.whole(INGRESSES, self._first, self.model, {"ingressClassName": self.plan.traffic.gateway, "rules": rules})

    def _canary(self, like: Json, split: TrafficSplit) -> Json:
        """With the class, hosts and paths of another Ingress: the controller joins the two by these."""
        annotations = like["metadata"].get("annotations") or {}
        written = {
            CANARY: "true",
            WEIGHT: str(split.canary),
            AFFINITY: "legacy",
            **{key: annotations[key] for key in (CLASS,) if key in annotations},
        }
        spec = {key: like["spec"][key] for key in ("ingressClassName",) if like["spec"].get(key)}
        rules = [_towards(rule, object_names.service(self.model, Track.CANARY)) for rule in like["spec"].get("rules") or ()]
        return route_objects.whole(INGRESSES, self._second, self.model, {**spec, "rules": rules}, written)

    def _split_in(self, main: Json, canary: Json) -> TrafficSplit:
        annotations: Mapping[str, str] = canary["metadata"].get("annotations") or {}
        weight, total = annotations.get(WEIGHT, "0"), annotations.get(TOTAL, "100")
        if annotations.get(CANARY) != "true" or not weight.isdecimal() or not total.isdecimal():
            raise Unavailable(
                f"{self._shown(self._second)}: is no canary Ingress: {CANARY} {annotations.get(CANARY)!r}, {WEIGHT} {weight!r}"
            )
        if int(weight) == 0:
            return TrafficSplit(0)
        for found, track in ((main, Track.STABLE), (canary, Track.CANARY)):
            if set(_backends(found)) != {object_names.service(self.model, track)}:
                there = ", ".join(_backends(found)) or "nothing"
                raise Unavailable(
                    f"{self._shown(found['metadata']['name'])}: leads to {there} instead of {object_names.service(self.model, track)}"
                )
        return route_objects.share(int(weight), int(total) - int(weight))


def _rule(host: str, service: str) -> Json:
    path = {"path": "/", "pathType": "Prefix", "backend": _backend(service)}
    return {**({"host": host} if host else {}), "http": {"paths": [path]}}


def _backend(service: str) -> Json:
    return {"service": {"name": service, "port": {"number": object_names.REST}}}


def _towards(rule: Json, service: str) -> Json:
    return {**rule, "http": {"paths": [{**path, "backend": _backend(service)} for path in rule.get("http", {}).get("paths") or ()]}}


def _backends(found: Json) -> list[str]:
    """Where an Ingress leads: names of Services, or other objects in words."""
    spec = found["spec"]
    paths = [path for rule in spec.get("rules") or () for path in rule.get("http", {}).get("paths") or ()]
    backends = [path["backend"] for path in paths] + ([spec["defaultBackend"]] if spec.get("defaultBackend") else [])
    return [one["service"]["name"] if "service" in one else f"{one['resource']['kind']} {one['resource']['name']}" for one in backends]
