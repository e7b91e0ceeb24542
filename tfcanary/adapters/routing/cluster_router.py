"""The base of every router of a cluster: a description of itself, and writes that an older intent cannot land.

A router is one class in one module of this folder; a class with a kind is known by it as soon as its module is imported.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.fenced_writes import compare_and_swap, stamp_of, write_over
from tfcanary.adapters.kubeclient.resources import Json, Resource, Right
from tfcanary.adapters.routing.abilities import Ability, check_able
from tfcanary.core.domain import Finding, Intent, Traffic
from tfcanary.core.errors import Conflict, Unavailable
from tfcanary.core.fencing import admit
from tfcanary.core.plan import Entrance, Plan, TrafficPlan

KNOWN: dict[str, type[ClusterRouter]] = {}
"""The routers by their kind."""
FRESH = 1.0
"""Seconds for which the stamp is taken from the last reading of the traffic: a caller asks for both, one after the other."""


@dataclass(frozen=True, slots=True)
class OwnedFields:
    """Fields of one object that are tfcanary's: it writes all of them, and nothing else of the object but its annotations."""

    resource: Resource
    name: str
    paths: tuple[str, ...]
    """JSON pointers, for example `/spec/rules`."""


class ClusterRouter(ABC):
    """A `ports.Router` over objects of a cluster. One object, the carrier, has the canary's share and the stamp of the last write."""

    kind: ClassVar[str] = ""
    """The plan's word for the router, in `traffic.router`."""
    abilities: ClassVar[frozenset[Ability]] = frozenset({Ability.WEIGHTS})
    """What the router can do; other traffic is refused by name."""
    resources: ClassVar[tuple[Resource, ...]] = ()
    """The kinds of objects that the router reads and writes and that not every cluster has; all of one group and version."""
    carrier: ClassVar[Resource]
    """The kind of the carrier."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.kind:
            KNOWN[cls.kind] = cls

    def __init__(self, api: Api, model: str, plan: Plan) -> None:
        """Bind the router to a model; nothing is asked yet."""
        self.api = api
        self.model = model
        self.plan = plan
        self.route = plan.traffic.route or model
        self._last: tuple[float, Json | None] | None = None

    # The description of itself

    @property
    def entrances(self) -> tuple[Entrance, ...]:
        """The entrances that the plan names; where it names none, all that the router can divide."""
        able = (Entrance.REST, *([Entrance.GRPC] if Ability.GRPC in self.abilities else []))
        return self.plan.traffic.entrances or able

    @classmethod
    @abstractmethod
    def rights(cls, traffic: TrafficPlan, namespace: str) -> tuple[Right, ...]:
        """The rights that the steps of a release in this namespace need beyond those that every release needs."""

    @classmethod
    @abstractmethod
    def guard_rights(cls) -> tuple[Right, ...]:
        """The rights that the guard needs to lower the traffic, beyond those that every guard needs."""

    @abstractmethod
    def owned_fields(self) -> tuple[OwnedFields, ...]:
        """The fields that the router owns, object by object."""

    @abstractmethod
    def entrance(self) -> tuple[Finding, str]:
        """Whether the object by which users' requests come in exists, is in force and takes the model's requests, with a sentence for people."""

    @abstractmethod
    def address(self) -> str:
        """The URL to which users' requests go, for example http://models.example.com."""

    # What can be known beforehand

    @abstractmethod
    def check(self, stages: Sequence[Traffic]) -> None:
        """Read only. Raises Refused for traffic that cannot be had, and for objects that are missing, another's, or not as they must be."""

    def objects(self, traffic: Traffic) -> tuple[tuple[Resource, Json], ...]:
        """The objects that `set_traffic` writes, in order, without stamps; reads, and writes nothing."""
        body = self.carrier_body(self.read(), traffic)
        return (*self.before(traffic), *([(self.carrier, body)] if body else []), *self.after(traffic))

    # The port

    def traffic(self) -> Traffic:
        """The traffic in force, read back from the cluster. Raises Diverted where the objects lead elsewhere than to the tracks."""
        found = self.read()
        self._last = time.monotonic(), found
        return self.traffic_in(found)

    def stamp(self) -> Intent | None:
        """The intent of the last write of ours to the carrier; None where there is none."""
        if self._last is None or time.monotonic() - self._last[0] > FRESH:
            self._last = time.monotonic(), self.read()
        return stamp_of(self._last[1])

    def set_traffic(self, traffic: Traffic, intent: Intent) -> None:
        """Write the traffic and the stamp, and return once the traffic is in force and read back.

        Raises Conflict where a newer intent has written already, Refused for traffic that this router cannot make and where somebody
        else owns the fields, Unavailable where the traffic does not come into force. `Traffic()` is written over everybody's fields.
        """
        check_able(self.kind, self.abilities, traffic)
        self.prepare(traffic, intent)
        self._apply(self.before(traffic), traffic)
        written = compare_and_swap(lambda: self._attempt(traffic, intent), self.display_name)
        self._last = None
        self._apply(self.after(traffic), traffic)
        if written is not None:
            self.await_in_force(traffic, intent, written)

    # What a router fills in

    @property
    def carrier_name(self) -> str:
        """The name of the object that carries the intent's stamp."""
        return self.route

    @property
    def display_name(self) -> str:
        """The carrier's kind, name and namespace, for people."""
        return f"{self.carrier.kind} {self.carrier_name} in namespace {self.api.namespace}"

    def read(self) -> Json | None:
        """The carrier as it is; None where there is none."""
        return self.api.get(self.carrier, self.carrier_name)

    @abstractmethod
    def traffic_in(self, found: Json | None) -> Traffic:
        """The traffic that the carrier makes; raises Diverted where it leads elsewhere than to the tracks."""

    @abstractmethod
    def carrier_body(self, found: Json | None, traffic: Traffic) -> Json | None:
        """The fields of the carrier that become ours, given the carrier as it is; None where nothing is to be written."""

    @abstractmethod
    def await_in_force(self, traffic: Traffic, intent: Intent, written: Json) -> None:
        """Return once the traffic is in force, given the carrier as it was written. Raises as `set_traffic`."""

    def prepare(self, traffic: Traffic, intent: Intent) -> None:  # noqa: B027 most routers have nothing to prepare
        """Do what must be done before the traffic is written, such as starting pods; each write in it is fenced by itself."""

    def before(self, traffic: Traffic) -> tuple[tuple[Resource, Json], ...]:
        """Objects that must exist before the carrier is written; their content does not depend on the canary's share."""
        return ()

    def after(self, traffic: Traffic) -> tuple[tuple[Resource, Json], ...]:
        """Objects that can wait until the carrier is written; their content does not depend on the canary's share."""
        return ()

    def admit(self, found: Json | None, traffic: Traffic, intent: Intent) -> Intent:
        """The stamp that this write leaves on the carrier. Raises Conflict where a newer intent has written already."""
        return admit(stamp_of(found), intent, self.display_name, traffic == Traffic() or self._lowers(found, traffic))

    def check_read_back(self, found: Json | None, traffic: Traffic, intent: Intent) -> None:
        """Raises Unavailable where other traffic than was written is read back, Conflict where a newer intent wrote it."""
        seen = self.traffic_in(found)
        if seen == traffic:
            return
        if (stamp := stamp_of(found)) is not None and stamp.number > intent.number:
            raise Conflict(
                f"{self.display_name}: release {stamp.run_id!r} wrote intent {stamp.number} after {intent.number} of {intent.run_id!r}"
            )
        raise Unavailable(f"{self.display_name}: traffic {traffic} was written, {seen} is read back: somebody else writes it, too")

    def _attempt(self, traffic: Traffic, intent: Intent) -> Callable[[], Json | None]:
        found = self.read()
        body = self.carrier_body(found, traffic)
        if body is None:
            return lambda: None
        stamp = self.admit(found, traffic, intent)
        return lambda: write_over(self.api, self.carrier, found, body, stamp, force=traffic == Traffic())

    def _lowers(self, found: Json | None, traffic: Traffic) -> bool:
        try:
            return traffic.lowers(self.traffic_in(found))
        except Unavailable:
            return False

    def _apply(self, objects: Sequence[tuple[Resource, Json]], traffic: Traffic) -> None:
        for resource, body in objects:
            self.api.apply(resource, body, force=traffic == Traffic())
