"""Routers over a route whose rules have weighted backends, such as an HTTPRoute or a VirtualService.

A route has one rule for each entrance, and all rules have the same weights: they are one object, written at once. The port of a rule's
backends tells its entrance.

A track without weight is not named at all: a persistent session would outlive weight 0 (Gateway API, GEP-1619), and a backend that
does not exist yet would make the route bad. On a route that somebody else made and that the plan adopts, the rules alone are ours, and
of a rule only the backends change. Other fields of a backend (filters, headers) stay, and are copied to the other track's backend.
"""

from __future__ import annotations

import json
import logging
import random
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.field_managers import managers_of
from tfcanary.adapters.kubeclient.object_names import MANAGER
from tfcanary.adapters.kubeclient.resources import WRITE, Json, Right
from tfcanary.adapters.routing.abilities import Ability
from tfcanary.adapters.routing.cluster_router import ClusterRouter, OwnedFields
from tfcanary.adapters.routing.entrances import PORTS, one_traffic
from tfcanary.adapters.routing.route_objects import DIVIDED, WEIGHED, check_owner, head, is_ours, services, share, whole
from tfcanary.core.domain import Intent, Track, Traffic
from tfcanary.core.errors import Diverted, Refused, Unavailable
from tfcanary.core.plan import Entrance

log = logging.getLogger("tfcanary.adapters.routing")

PATIENCE = 10.0
"""Seconds after which a controller that has not taken a route over never will: it takes well below one."""
ASIDE = "tfcanary.dev/aside"
"""Annotation: backends that are not named at present and have fields that the named ones do not have, as JSON by entrance and track."""


class WeightedRouter(ClusterRouter):
    """A router over one route of one model; the route is the carrier."""

    abilities = frozenset({Ability.WEIGHTS, Ability.BASELINE})
    rules: ClassVar[str]
    """The field of `spec` with the rules."""
    backends: ClassVar[str]
    """The field of a rule with the backends."""

    @classmethod
    def guard_rights(cls) -> tuple[Right, ...]:
        """The rights to read and write the route."""
        return (Right(cls.carrier, WRITE),)

    def owned_fields(self) -> tuple[OwnedFields, ...]:
        """The rules of the route."""
        return (OwnedFields(self.carrier, self.route, (f"/spec/{self.rules}",)),)

    @abstractmethod
    def bare(self, entrance: Entrance) -> Json:
        """A rule for every request of an entrance, without backends; REST's takes whatever the others leave."""

    @abstractmethod
    def backend(self, track: Track, entrance: Entrance, weight: int) -> Json:
        """The fields of a backend that are ours."""

    @abstractmethod
    def service_of(self, backend: Json) -> str:
        """The Service of our namespace that a backend names; anything else in words for people."""

    def port_of(self, backend: Json) -> int | None:
        """The port that a backend names; None where it names none."""
        port: int | None = backend.get("port")
        return port

    def weight_of(self, backend: Json, alone: bool) -> int:
        """The weight of a backend; `alone` where its rule has no other."""
        return int(backend.get("weight", 1))

    @abstractmethod
    def way_in(self, spec: Json) -> Json:
        """How requests get to a route of ours, given its spec as it is, which is empty where there is none: fields of the spec.

        A field that the plan does not name is the one that is there; an empty field is left out.
        """

    @abstractmethod
    def check_way_in(self) -> None:
        """Raises Refused where we must make the route, and requests would not get to it."""

    def pending(self, route: Json) -> str:
        """Why a route is not in force, in its controllers' words; empty where it is in force, or where no controller reports."""
        return ""

    def prepare(self, traffic: Traffic, intent: Intent) -> None:
        """Raises Refused where a route must be made, and requests would not get to it."""
        if traffic != Traffic() and not self.plan.traffic.gateway and self.read() is None:
            self.check_way_in()

    def check(self, stages: Sequence[Traffic]) -> None:
        """Read only. Raises Refused where a release would stop later. Any share can be had: only the route is looked at."""
        route = self.read()
        if route is None:
            return self.check_way_in()
        check_owner(self.carrier, route, self.model, self.plan.adopt, f"its `spec.{self.rules}`")
        rules = self._rules(route)
        if not rules or len({self._entrance(rule) for rule in rules}) < len(rules):
            also = f"; a second one may lead gRPC requests to port {PORTS[Entrance.GRPC]}"
            raise Refused(f"{self.display_name}: has {len(rules)} rules, must have one; move the others to a route of their own{also}")
        if self._foreign(rules) or not all(self._is_divided(rule) for rule in rules):
            there = ", ".join(self._foreign(rules)) or "nothing"
            raise Refused(
                f"{self.display_name}: sends requests to {there}; must name {self._our_services} only; move the others to a route of their own"
            )
        if not is_ours(route, self.model) and (missing := self._missing(route)):
            raise Refused(
                f"{self.display_name}: has no rule for {missing}; add one to it, or to `traffic.entrances` only those that it has"
            )
        return None

    def carrier_body(self, found: Json | None, traffic: Traffic) -> Json | None:
        """The rules, and all other fields of a route of ours; None where there is no route and the plan does not say how to make one."""
        if found is None and not self.plan.traffic.gateway:
            return None
        ours = found is None or is_ours(found, self.model)
        rules = self._rules(found or {})
        if ours:
            rules = self._for_our_entrances(rules)
        aside = _aside(found)
        for number, rule in enumerate(rules):
            if self._is_divided(rule):
                entrance = self._entrance(rule)
                weighed, aside[entrance] = self._weigh(rule, entrance, aside.get(entrance, {}), traffic)
                rules[number] = {**rule, self.backends: weighed}
        kept = {entrance: by_track for entrance, by_track in aside.items() if by_track}
        annotations = {ASIDE: json.dumps(kept)} if kept else {}
        if ours:
            return whole(self.carrier, self.route, self.model, {**self._way_in(found), self.rules: rules}, annotations)
        return {**head(self.carrier, self.route, annotations), "spec": {self.rules: rules}}

    def _way_in(self, found: Json | None) -> Json:
        """The fields of the way in that we write: one that is right already and that somebody else owns, too, stays that owner's alone."""
        spec = (found or {}).get("spec", {})
        wanted = {name: value for name, value in self.way_in(spec).items() if value}
        return {name: value for name, value in wanted.items() if value != spec.get(name) or not self._is_of_others(found, name)}

    def _is_of_others(self, found: Json | None, name: str) -> bool:
        return found is not None and not managers_of(found, f"/spec/{name}") <= {MANAGER}

    def traffic_in(self, found: Json | None) -> Traffic:
        """The traffic that a route makes; without a route the canary has none. Raises Diverted where the route leads elsewhere."""
        if found is None:
            return Traffic()
        rules = self._rules(found)
        foreign, missing = ", ".join(self._foreign(rules)), self._missing(found)
        divided = [(self._entrance(rule), self._share_of(rule)) for rule in rules if self._is_divided(rule)]
        if not divided or (foreign and missing):
            raise Diverted(f"{self.display_name}: sends requests to {foreign or 'nothing'} instead of {self._our_services}")
        shares = dict(divided)
        if all(one == Traffic() for _, one in divided):
            return Traffic()
        if foreign or len(shares) < len(rules):
            also = foreign or f"{len(rules)} rules"
            raise Diverted(f"{self.display_name}: has {also}, not {self._our_services} alone: the canary's share cannot be told")
        if missing:
            raise Diverted(f"{self.display_name}: has no rule for {missing} any more: the canary's share cannot be told")
        return one_traffic(shares, self.display_name)

    def await_in_force(self, traffic: Traffic, intent: Intent, written: Json) -> None:
        """Wait until every controller that reports on the route has taken it over; at weight 0 a controller that does not is logged only."""
        deadline, found = time.monotonic() + PATIENCE, self._read_back(written, traffic, intent)
        while found and (why := self.pending(found)):
            if time.monotonic() > deadline:
                return self._give_up(traffic, why)
            time.sleep(random.uniform(0.05, 0.15))
            found = self._read_back(self.read(), traffic, intent)
        return None

    def _read_back(self, found: Json | None, traffic: Traffic, intent: Intent) -> Json | None:
        self.check_read_back(found, traffic, intent)
        return found

    @property
    def _our_services(self) -> str:
        return " and ".join(object_names.service(self.model, track) for track in DIVIDED)

    def _rules(self, route: Json) -> list[Json]:
        return list(route.get("spec", {}).get(self.rules) or [])

    def _by_service(self, rule: Json) -> list[tuple[str, Json]]:
        return [(self.service_of(one), one) for one in rule.get(self.backends) or ()]

    def _is_divided(self, rule: Json) -> bool:
        return any(name in services(self.model) for name, _ in self._by_service(rule))

    def _foreign(self, rules: Iterable[Json]) -> list[str]:
        return [name for rule in rules for name, _ in self._by_service(rule) if name not in services(self.model)]

    def _entrance(self, rule: Json) -> Entrance:
        ports = {self.port_of(one) for name, one in self._by_service(rule) if name in services(self.model)}
        return Entrance.GRPC if ports == {PORTS[Entrance.GRPC]} else Entrance.REST

    def _missing(self, route: Json) -> str:
        """The entrances for which a route lacks a rule, for people; of another's route the plan says which those are, if it says anything."""
        wanted = self.entrances if is_ours(route, self.model) else self.plan.traffic.entrances
        there = {self._entrance(rule) for rule in self._rules(route) if self._is_divided(rule)}
        return ", ".join(f"`{entrance.value}`" for entrance in wanted if entrance not in there)

    def _for_our_entrances(self, rules: Sequence[Json]) -> list[Json]:
        """The rules of a route of ours, with one for each entrance of the plan; gRPC's come first, for where order counts REST's takes all."""
        divided = [rule for rule in rules if self._is_divided(rule)]
        there = {self._entrance(rule) for rule in divided}
        missing = [entrance for entrance in self.entrances if entrance not in there]
        fresh = {one: {**self.bare(one), self.backends: [self.backend(Track.STABLE, one, 0)]} for one in missing}
        kept = [rule for rule in rules if divided and self._stays(rule, missing)]
        first, last = ([fresh[one] for one in missing if one is entrance] for entrance in (Entrance.GRPC, Entrance.REST))
        return [*first, *kept, *last]

    def _stays(self, rule: Json, missing: Iterable[Entrance]) -> bool:
        """Whether a rule of a route of ours stays: one of an entrance that the plan does not name goes, and one that was led elsewhere."""
        if self._is_divided(rule):
            return self._entrance(rule) in self.entrances
        return {field: value for field, value in rule.items() if field != self.backends} not in map(self.bare, missing)

    def _share_of(self, rule: Json) -> Traffic:
        stable, canary, baseline = (self._weight(rule, track) for track in WEIGHED)
        return share(canary, stable, baseline)

    def _weight(self, rule: Json, track: Track) -> int:
        alone = len(rule[self.backends]) == 1
        return sum(self.weight_of(one, alone) for name, one in self._by_service(rule) if services(self.model).get(name) is track)

    def _weigh(self, rule: Json, entrance: Entrance, aside: Mapping[Track, Json], traffic: Traffic) -> tuple[list[Json], dict[Track, Json]]:
        """The backends of a rule with the weights of this traffic, and the backends that are put aside because they have no weight."""
        there = {**aside, **{services(self.model)[name]: one for name, one in self._by_service(rule) if name in services(self.model)}}
        named, left = [], {}
        for track in WEIGHED:
            other = there.get(Track.CANARY if track is Track.STABLE else Track.STABLE, {})
            ours, alike = self.backend(track, entrance, traffic.of(track)), {**other, **self.backend(track, entrance, 0)}
            if traffic.of(track):
                named.append(_merge(there[track], ours) if track in there else {**other, **ours})
            elif track in there and _merge(there[track], self.backend(track, entrance, 0)) != alike:
                left[track] = there[track]
        return named, left

    def _give_up(self, traffic: Traffic, why: str) -> None:
        if traffic != Traffic():
            raise Unavailable(
                f"{self.display_name}: weight {traffic.canary} was written, but is not in force after {PATIENCE:.0f} s: {why}"
            )
        log.warning("%s: weight 0 was written, but is not in force after %.0f s: %s", self.display_name, PATIENCE, why)


def _aside(found: Json | None) -> dict[Entrance, dict[Track, Json]]:
    """The backends that were put aside; none where somebody else has written something else into the annotation."""
    try:
        kept = json.loads((found["metadata"].get("annotations") or {})[ASIDE] if found else "{}")
        return {
            Entrance(one): {Track(track): dict(backend) for track, backend in dict(tracks).items()} for one, tracks in dict(kept).items()
        }
    except (KeyError, TypeError, ValueError):
        return {}


def _merge(backend: Mapping[str, Any], ours: Mapping[str, Any]) -> Json:
    """A backend with our fields set, and all others as they are, at every depth."""
    nested = [key for key, value in ours.items() if isinstance(value, Mapping) and isinstance(backend.get(key), Mapping)]
    return {**backend, **ours, **{key: _merge(backend[key], ours[key]) for key in nested}}
