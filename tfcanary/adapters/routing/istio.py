"""The Router over Istio: the weights of one VirtualService. REST only, as over the Gateway API.

Each track's host gets a DestinationRule that switches off the ejection of servers for their errors: a rule for the whole
mesh would hide a bad canary by sending its requests elsewhere, and its errors would never reach the judge.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import DESTINATION_RULES, ISTIO_GATEWAYS, VIRTUAL_SERVICES, Json, Resource
from tfcanary.adapters.routing import route_objects
from tfcanary.adapters.routing.weighted import WeightedRouter
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused, Unavailable

MESH = "mesh"
"""Istio's word for all the proxies in the mesh, where a Gateway is named."""
NO_EJECTION = {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 0}
"""How Istio switches off its two reasons to eject a server; left out, the first is 5."""


class IstioRouter(WeightedRouter):
    """The VirtualService itself counts as in force: Istio's proxies report nothing about it."""

    resource = VIRTUAL_SERVICES
    rules = "http"
    backends = "route"

    def bare(self) -> Json:
        """A rule for every request, without destinations."""
        return {}

    def backend(self, track: Track, weight: int) -> Json:
        """A destination in a rule."""
        return {"destination": {"host": object_names.service(self.model, track), "port": {"number": object_names.REST}}, "weight": weight}

    def named(self, rule: Json) -> list[tuple[str, int]]:
        """The destinations of a rule, each with its weight; one that is alone gets everything, whatever it says."""
        found = rule.get("route") or ()
        return [(self._service(one["destination"]["host"]), 100 if len(found) == 1 else int(one.get("weight", 0))) for one in found]

    def way_in(self) -> Json:
        """The gateway and the hosts."""
        return {"gateways": [self.plan.traffic.gateway], "hosts": [*self.plan.traffic.hostnames] or ["*"]}

    def check_way_in(self) -> None:
        """Raises Refused where no gateway is named, there is none of that name, or the mesh has no host."""
        traffic = self.plan.traffic
        if not traffic.gateway:
            missing = f"VirtualService {self.name} does not exist in namespace {self.api.namespace}"
            raise Refused(f"traffic.gateway: must name Istio's Gateway (`name` or `namespace/name`) or `{MESH}`, for {missing}")
        if traffic.gateway == MESH:
            if not traffic.hostnames:
                raise Refused(f"traffic.hostnames: must name the hosts that clients call, where `traffic.gateway` is `{MESH}`")
            return
        self._gateway()

    def check(self, weights: Sequence[int]) -> None:
        """As promised; also Refused where a DestinationRule of somebody else ejects a track's servers for their errors."""
        super().check(weights)
        for rule in self._rules_of_others():
            ejects = rule["spec"].get("trafficPolicy", {}).get("outlierDetection")
            if ejects is not None and (ejects.get("consecutive5xxErrors", 5) or ejects.get("consecutiveGatewayErrors", 0)):
                off = " and ".join(f"`{name}: 0`" for name in NO_EJECTION)
                raise Refused(
                    f"DestinationRule {rule['metadata']['name']} in namespace {self.api.namespace}: ejects servers of {rule['spec']['host']} "
                    f"for their errors, which would hide them from the judge; set {off} under its `outlierDetection`"
                )

    def beside(self) -> tuple[tuple[Resource, Json], ...]:
        """A DestinationRule for each track that has none from somebody else: of two for one host Istio takes the older."""
        taken = {self._service(rule["spec"]["host"]) for rule in self._rules_of_others()}
        return tuple((DESTINATION_RULES, self._destination_rule(name)) for name in route_objects.services(self.model) if name not in taken)

    def address(self) -> str:
        """The first host that is one; else the first of the Gateway's. Raises Unavailable where all are patterns."""
        route = self.read() or {"spec": self.way_in()}
        hosts = [*self.plan.traffic.hostnames, *(route["spec"].get("hosts") or ())]
        for host in hosts:
            if "*" not in host:
                return route_objects.address(host)
        raise Unavailable(f"VirtualService {self.name} takes requests for {', '.join(hosts)}; name the host in `traffic.hostnames`")

    def _destination_rule(self, service: str) -> Json:
        spec = {"host": service, "trafficPolicy": {"outlierDetection": NO_EJECTION}}
        return route_objects.whole(DESTINATION_RULES, service, self.model, spec)

    def _rules_of_others(self) -> list[Json]:
        found = self.api.list(DESTINATION_RULES)
        ours = route_objects.services(self.model)
        return [rule for rule in found if self._service(rule["spec"]["host"]) in ours and not route_objects.is_ours(rule, self.model)]

    def _service(self, host: str) -> str:
        """The Service of our namespace that a host means, which may be written in full; else the host."""
        name, _, rest = host.partition(".")
        return name if rest in ("", self.api.namespace) or rest.startswith(f"{self.api.namespace}.svc") else host

    def _gateway(self) -> None:
        namespace, name = route_objects.placed(self.plan.traffic.gateway, self.api.namespace)
        if self.api.elsewhere(namespace).get(ISTIO_GATEWAYS, name) is None:
            raise Refused(f"traffic.gateway {self.plan.traffic.gateway!r}: there is no Gateway {name} of Istio in namespace {namespace}")
