"""The router over Istio: the weights of one VirtualService.

Each track's host gets a DestinationRule that switches off the ejection of servers for their errors: a rule for the whole
mesh would hide a bad canary by sending its requests elsewhere, and its errors would never reach the judge.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import WRITE, Json, Resource, Right
from tfcanary.adapters.routing import route_objects
from tfcanary.adapters.routing.abilities import Ability
from tfcanary.adapters.routing.entrances import GRPC_PATHS, PORTS
from tfcanary.adapters.routing.weighted import WeightedRouter
from tfcanary.core.domain import COMPARED, Finding, Track, Traffic
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Entrance, TrafficPlan

VIRTUAL_SERVICES = Resource("networking.istio.io/v1", "virtualservices", "VirtualService", needs="Istio")
ISTIO_GATEWAYS = Resource("networking.istio.io/v1", "gateways", "Gateway", needs="Istio")
DESTINATION_RULES = Resource("networking.istio.io/v1", "destinationrules", "DestinationRule", needs="Istio")
MESH = "mesh"
"""Istio's word for all proxies in the mesh, in the place of a Gateway's name."""
NO_EJECTION = {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 0}
"""How Istio switches off its two reasons to eject a server; left out, the first is 5."""


class IstioRouter(WeightedRouter):
    """The VirtualService itself counts as in force: Istio's proxies report nothing about it."""

    kind = "istio"
    abilities = WeightedRouter.abilities | {Ability.GRPC}
    resources = (VIRTUAL_SERVICES, DESTINATION_RULES, ISTIO_GATEWAYS)
    carrier = VIRTUAL_SERVICES
    rules = "http"
    backends = "route"

    @classmethod
    def rights(cls, traffic: TrafficPlan, namespace: str) -> tuple[Right, ...]:
        """The rights to read and write the VirtualService and the tracks' DestinationRules, and to read the Gateway that the plan names."""
        route = (Right(VIRTUAL_SERVICES, WRITE), Right(DESTINATION_RULES, ("list", "create", "patch")))
        if traffic.gateway in ("", MESH):
            return route
        place, _ = route_objects.namespace_and_name(traffic.gateway, namespace)
        return (*route, Right(ISTIO_GATEWAYS, ("get",), place if place != namespace else ""))

    def bare(self, entrance: Entrance) -> Json:
        """A rule for every request of an entrance, without destinations; of two rules that fit, the first counts."""
        return {"match": [{"uri": {"prefix": path}} for path in GRPC_PATHS]} if entrance is Entrance.GRPC else {}

    def backend(self, track: Track, entrance: Entrance, weight: int) -> Json:
        """The fields of a destination that are ours."""
        return {"destination": {"host": object_names.service(self.model, track), "port": {"number": PORTS[entrance]}}, "weight": weight}

    def service_of(self, backend: Json) -> str:
        """The Service of our namespace that a destination names; else its host."""
        return self._service(backend["destination"]["host"])

    def port_of(self, backend: Json) -> int | None:
        """The port of a destination; None where it names none."""
        port: int | None = (backend["destination"].get("port") or {}).get("number")
        return port

    def weight_of(self, backend: Json, alone: bool) -> int:
        """The weight of a destination; one that is alone gets everything, whatever it says."""
        return 100 if alone else int(backend.get("weight", 0))

    def way_in(self, spec: Json) -> Json:
        """The fields that attach a route of ours to the gateway and the hosts; a new route without hosts takes the requests for any."""
        traffic = self.plan.traffic
        gateways, hosts = [traffic.gateway] if traffic.gateway else spec.get("gateways"), [*traffic.hostnames] or spec.get("hosts")
        return {"gateways": gateways, "hosts": hosts or ["*"]}

    def check_way_in(self) -> None:
        """Raises Refused where no gateway is named, there is none of that name, or the mesh has no host."""
        traffic = self.plan.traffic
        if not traffic.gateway:
            missing = f"{self.carrier.kind} {self.route} does not exist in namespace {self.api.namespace}"
            raise Refused(f"traffic.gateway: must name Istio's Gateway (`name` or `namespace/name`) or `{MESH}`, for {missing}")
        if traffic.gateway == MESH:
            if not traffic.hostnames:
                raise Refused(f"traffic.hostnames: must name the hosts that clients call, where `traffic.gateway` is `{MESH}`")
            return
        self._gateway()

    def entrance(self) -> tuple[Finding, str]:
        """Whether the Gateway exists and takes hosts of our namespace; the mesh always does."""
        traffic = self.plan.traffic
        if traffic.gateway == MESH:
            return Finding.PASS, f"`{MESH}`: clients within the mesh, for {', '.join(traffic.hostnames) or 'no host'}"
        namespace, name = route_objects.namespace_and_name(traffic.gateway, self.api.namespace)
        try:
            found = self._gateway()
        except Refused as error:
            return Finding.FAIL, f"{error}; create it, or name another"
        hosts = [host for server in found["spec"].get("servers") or () for host in server.get("hosts") or ()]
        places = [host.rpartition("/")[0] or "*" for host in hosts]
        if not any(place in ("*", self.api.namespace) or (place == "." and namespace == self.api.namespace) for place in places):
            there = ", ".join(hosts) or "no hosts"
            none = f"and none for namespace {self.api.namespace}; add one"
            return Finding.FAIL, f"Gateway {name} in namespace {namespace} takes {there}, {none}"
        return Finding.PASS, f"Gateway {name} in namespace {namespace} takes hosts of namespace {self.api.namespace}"

    def check(self, stages: Sequence[Traffic]) -> None:
        """Read only. Raises Refused as every router, and where somebody else's DestinationRule ejects a track's servers for their errors."""
        super().check(stages)
        for rule in self._rules_of_others():
            ejects = rule["spec"].get("trafficPolicy", {}).get("outlierDetection")
            if ejects is not None and (ejects.get("consecutive5xxErrors", 5) or ejects.get("consecutiveGatewayErrors", 0)):
                off = " and ".join(f"`{name}: 0`" for name in NO_EJECTION)
                raise Refused(
                    f"DestinationRule {rule['metadata']['name']} in namespace {self.api.namespace}: ejects servers of {rule['spec']['host']} "
                    f"for their errors, which would hide them from the judge; set {off} under its `outlierDetection`"
                )

    def before(self, traffic: Traffic) -> tuple[tuple[Resource, Json], ...]:
        """Before the canary gets requests, a DestinationRule for each track that has none of somebody else: of two, Istio takes the older.

        On the way to weight 0 nothing else is written: whatever it is, it may not be in the way.
        """
        if traffic == Traffic():
            return ()
        taken = {self._service(rule["spec"]["host"]) for rule in self._rules_of_others()}
        weighed = [name for name, track in route_objects.services(self.model).items() if track in COMPARED or traffic.of(track)]
        return tuple((DESTINATION_RULES, self._destination_rule(name)) for name in weighed if name not in taken)

    def address(self) -> str:
        """The URL of the first host name of the plan or the route that is no pattern. Raises Unavailable where all are patterns."""
        route = self.read() or {"spec": self.way_in({})}
        hosts = [*self.plan.traffic.hostnames, *(route["spec"].get("hosts") or ())]
        for host in hosts:
            if "*" not in host:
                return route_objects.address(host)
        raise Unavailable(f"VirtualService {self.route} takes requests for {', '.join(hosts)}; name the host in `traffic.hostnames`")

    def _destination_rule(self, service: str) -> Json:
        spec = {"host": service, "trafficPolicy": {"outlierDetection": NO_EJECTION}}
        return route_objects.whole(DESTINATION_RULES, service, self.model, spec)

    def _rules_of_others(self) -> list[Json]:
        found = self.api.list(DESTINATION_RULES)
        ours = route_objects.services(self.model)
        return [rule for rule in found if self._service(rule["spec"]["host"]) in ours and not route_objects.is_ours(rule, self.model)]

    def _service(self, host: str) -> str:
        """The Service of our namespace that a host, short or written in full, means; any other host as it is."""
        name, _, rest = host.partition(".")
        return name if rest in ("", self.api.namespace) or rest.startswith(f"{self.api.namespace}.svc") else host

    def _gateway(self) -> Json:
        namespace, name = route_objects.namespace_and_name(self.plan.traffic.gateway, self.api.namespace)
        found = self.api.elsewhere(namespace).get(ISTIO_GATEWAYS, name)
        if found is None:
            raise Refused(f"traffic.gateway {self.plan.traffic.gateway!r}: there is no Gateway {name} of Istio in namespace {namespace}")
        return found
