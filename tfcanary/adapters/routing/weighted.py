"""Routes whose rules weigh backends: an HTTPRoute and a VirtualService say the same in other words.

A track without weight is not named at all: a persistent session would outlive weight 0 (Gateway API, GEP-1619), and a
backend that does not exist yet would make the route bad. On a route that somebody else made and that the plan adopts
we own the rules alone, and of a rule we change the backends only.
"""

from __future__ import annotations

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.adapters.routing.route_objects import check_owner, head, is_ours, services, share, whole
from tfcanary.core.domain import Track, TrafficSplit
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan

log = logging.getLogger("tfcanary.adapters.routing")

PATIENCE = 10.0
"""Seconds after which a controller that has not taken a route over never will: it takes well below one."""


class WeightedRouter(ABC):
    """A router over one route of one model."""

    resource: ClassVar[Resource]
    rules: ClassVar[str]
    """The field of `spec` with the rules."""
    backends: ClassVar[str]
    """The field of a rule with the backends."""

    def __init__(self, api: Api, model: str, plan: Plan) -> None:
        self.api = api
        self.model = model
        self.plan = plan
        self.name = plan.traffic.route or model

    @abstractmethod
    def bare(self) -> Json:
        """A rule for every request, without backends."""

    @abstractmethod
    def backend(self, track: Track, weight: int) -> Json:
        """A backend in a rule."""

    @abstractmethod
    def named(self, rule: Json) -> list[tuple[str, int]]:
        """The backends of a rule: a Service of our namespace by its name, anything else in words for people; and each one's weight."""

    @abstractmethod
    def way_in(self) -> Json:
        """What else the spec of a route of ours says: how requests get to it."""

    @abstractmethod
    def check_way_in(self) -> None:
        """Raises Refused where we must make the route, and requests would not get to it."""

    @abstractmethod
    def address(self) -> str:
        """Where users' requests go, for example http://models.example.com."""

    def pending(self, route: Json) -> str:
        """Why the route is not in force, as its controllers say; empty where it is, or where none says anything."""
        return ""

    def beside(self) -> tuple[tuple[Resource, Json], ...]:
        """What must be there before the canary gets requests."""
        return ()

    def split(self) -> TrafficSplit:
        """Read back from the route; 0 where there is none. Raises Unavailable where it is another than ours."""
        route = self.read()
        return self.split_in(route) if route else TrafficSplit(0)

    def set_split(self, split: TrafficSplit) -> None:
        """Write the rules, and the route where there is none; returns once in force and read back.

        Raises Conflict where somebody else has changed the rules; but 0 is written over everybody's.
        """
        route = self.read()
        if route is None and not self.plan.traffic.gateway:
            if split.canary == 0:
                return
            self.check_way_in()
        for resource, body in self._all(route, split):
            self.api.apply(resource, body, force=split.canary == 0)
        self._await(split)

    def check(self, weights: Sequence[int]) -> None:
        """Asks only. Raises Refused where a release would stop later. Any weight can be had: the route alone is looked at."""
        route = self.read()
        if route is None:
            return self.check_way_in()
        check_owner(self.resource, route, self.model, self.plan.adopt, f"its `spec.{self.rules}`")
        rules = self._rules(route)
        if len(rules) != 1:
            raise Refused(f"{self._shown}: has {len(rules)} rules, must have one; move the others to a route of their own")
        if self._foreign(rules) or not self._is_split(rules[0]):
            there = ", ".join(self._foreign(rules)) or "nothing"
            raise Refused(f"{self._shown}: sends requests to {there}; must name {self._ours} only; move the others to a route of their own")
        return None

    def objects(self, split: TrafficSplit) -> tuple[tuple[Resource, Json], ...]:
        """What `set_split` applies, in order. Asks, and writes nothing."""
        return self._all(self.read(), split)

    def read(self) -> Json | None:
        """The route as it is."""
        return self.api.get(self.resource, self.name)

    def written(self, route: Json | None, split: TrafficSplit) -> Json:
        """The fields that become ours, given the route as it is."""
        ours = route is None or is_ours(route, self.model)
        rules = self._rules(route or {})
        fresh = ours and not any(self._is_split(rule) for rule in rules)
        weighed = {self.backends: [self.backend(track, split.of(track)) for track in Track if split.of(track)]}
        written = [{**rule, **weighed} if fresh or self._is_split(rule) else rule for rule in ([self.bare()] if fresh else rules)]
        if ours:
            return whole(self.resource, self.name, self.model, {**self.way_in(), self.rules: written})
        return {**head(self.resource, self.name), "spec": {self.rules: written}}

    def split_in(self, route: Json) -> TrafficSplit:
        """The split that a route makes; raises Unavailable where it is none of ours."""
        rules = self._rules(route)
        if not any(self._is_split(rule) for rule in rules):
            there = ", ".join(self._foreign(rules)) or "nothing"
            raise Unavailable(f"{self._shown}: sends requests to {there} instead of {self._ours}")
        stable, canary = (self._weight(rules, track) for track in Track)
        if canary and (len(rules) > 1 or self._foreign(rules)):
            also = ", ".join(self._foreign(rules)) or f"{len(rules)} rules"
            raise Unavailable(f"{self._shown}: has {also}, not {self._ours} alone: the canary's share cannot be told")
        return share(canary, stable)

    @property
    def _shown(self) -> str:
        return f"{self.resource.kind} {self.name} in namespace {self.api.namespace}"

    @property
    def _ours(self) -> str:
        return " and ".join(services(self.model))

    def _all(self, route: Json | None, split: TrafficSplit) -> tuple[tuple[Resource, Json], ...]:
        # On the way to 0 nothing else is asked for: whatever it is, it may not be in the way.
        return (*(self.beside() if split.canary else ()), (self.resource, self.written(route, split)))

    def _rules(self, route: Json) -> list[Json]:
        found: list[Json] | None = route.get("spec", {}).get(self.rules)
        return found or []

    def _is_split(self, rule: Json) -> bool:
        return any(name in services(self.model) for name, _ in self.named(rule))

    def _foreign(self, rules: Iterable[Json]) -> list[str]:
        return [name for rule in rules for name, _ in self.named(rule) if name not in services(self.model)]

    def _weight(self, rules: Iterable[Json], track: Track) -> int:
        return sum(weight for rule in rules for name, weight in self.named(rule) if services(self.model).get(name) is track)

    def _await(self, split: TrafficSplit) -> None:
        deadline = time.monotonic() + PATIENCE
        while why := self._open(split):
            if time.monotonic() > deadline:
                return self._gave_up(split, why)
            time.sleep(random.uniform(0.05, 0.15))
        return None

    def _open(self, split: TrafficSplit) -> str:
        """Why the split is not in force; raises Unavailable where another one is written there by now."""
        route = self.read()
        seen = self.split_in(route) if route else TrafficSplit(0)
        if seen != split:
            raise Unavailable(f"{self._shown}: weight {split.canary} was written, {seen.canary} is read back: somebody else writes it, too")
        return self.pending(route) if route else ""

    def _gave_up(self, split: TrafficSplit, why: str) -> None:
        if split.canary:
            raise Unavailable(f"{self._shown}: weight {split.canary} was written, but is not in force after {PATIENCE:.0f} s: {why}")
        log.warning("%s: weight 0 was written, but is not in force after %.0f s: %s", self._shown, PATIENCE, why)
