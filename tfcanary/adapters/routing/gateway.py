"""The Router over the Gateway API: the weights of one HTTPRoute. REST only: gRPC would need a GRPCRoute with weights of its own."""

from __future__ import annotations

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import GATEWAYS, HTTP_ROUTES, Json
from tfcanary.adapters.routing import route_objects
from tfcanary.adapters.routing.weighted import WeightedRouter
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused, Unavailable


class GatewayRouter(WeightedRouter):
    """A route counts as in force once every controller that reports on it has seen its newest generation."""

    resource = HTTP_ROUTES
    rules = "rules"
    backends = "backendRefs"

    def bare(self) -> Json:
        """A rule for every request, without backends."""
        return {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}

    def backend(self, track: Track, weight: int) -> Json:
        """A backend in a rule."""
        return {"name": object_names.service(self.model, track), "port": object_names.REST, "weight": weight}

    def named(self, rule: Json) -> list[tuple[str, int]]:
        """The backends of a rule, each with its weight."""
        return [(self._service(backend), int(backend.get("weight", 1))) for backend in rule.get("backendRefs") or ()]

    def way_in(self) -> Json:
        """The Gateway and the host names."""
        namespace, name = route_objects.placed(self.plan.traffic.gateway, self.api.namespace)
        parent = {"name": name} | ({"namespace": namespace} if namespace != self.api.namespace else {})
        hostnames = {"hostnames": [*self.plan.traffic.hostnames]} if self.plan.traffic.hostnames else {}
        return {"parentRefs": [parent], **hostnames}

    def check_way_in(self) -> None:
        """Raises Refused where no Gateway is named, or there is none of that name."""
        if not self.plan.traffic.gateway:
            missing = f"HTTPRoute {self.name} does not exist in namespace {self.api.namespace}"
            raise Refused(f"traffic.gateway: must name the Gateway that takes users' requests (`name` or `namespace/name`), for {missing}")
        self._gateway(self.plan.traffic.gateway)

    def address(self) -> str:
        """The first host name; else the address that the Gateway has."""
        route = self.read() or {"spec": self.way_in()}
        hosts = [*self.plan.traffic.hostnames, *(route["spec"].get("hostnames") or ())]
        for host in hosts:
            if "*" not in host:
                return route_objects.address(host)
        parents = route["spec"].get("parentRefs") or [{"name": ""}]
        return self._address(f"{parents[0].get('namespace', self.api.namespace)}/{parents[0]['name']}")

    def pending(self, route: Json) -> str:
        """Why the route is not in force, as its controllers say; empty where it is, or where none says anything."""
        generation = route["metadata"].get("generation", 0)
        found = [_verdict(parent, generation) for parent in (route.get("status") or {}).get("parents") or ()]
        return "; ".join(why for why in found if why)

    def _service(self, backend: Json) -> str:
        kind, namespace = backend.get("kind", "Service"), backend.get("namespace", self.api.namespace)
        ours = kind == "Service" and not backend.get("group") and namespace == self.api.namespace
        return str(backend["name"]) if ours else f"{kind} {namespace}/{backend['name']}"

    def _gateway(self, named: str) -> Json:
        namespace, name = route_objects.placed(named, self.api.namespace)
        found = self.api.elsewhere(namespace).get(GATEWAYS, name) if name else None
        if found is None:
            raise Refused(f"traffic.gateway {named!r}: there is no Gateway {name} in namespace {namespace}")
        return found

    def _address(self, named: str) -> str:
        gateway = self._gateway(named)
        addresses = (gateway.get("status") or {}).get("addresses") or ()
        if not addresses:
            raise Unavailable(f"Gateway {named} has no address yet, and the plan names no `traffic.hostnames`")
        return route_objects.address(addresses[0]["value"], gateway["spec"]["listeners"][0]["port"])


def _verdict(parent: Json, generation: int) -> str:
    said = {one["type"]: one for one in parent.get("conditions") or ()}
    accepted = said.get("Accepted")
    if accepted is None or accepted.get("observedGeneration", 0) < generation:
        return f"{parent['controllerName']} has not seen it yet"
    refused = [one for one in (accepted, said.get("ResolvedRefs")) if one and one["status"] == "False"]
    return "; ".join(f"{parent['controllerName']} says {one['type']}=False, {one['reason']}: {one['message']}" for one in refused)
