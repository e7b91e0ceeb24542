"""The router over the Gateway API: the weights of one HTTPRoute.

gRPC is a rule of the same HTTPRoute, not a GRPCRoute: two routes could not be written at once, and one host may have only one kind of
them. It needs a Gateway that speaks HTTP/2 without TLS to the servers, as the `appProtocol` of the tracks' Services asks it to.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import NAMESPACES, WRITE, Json, Resource, Right
from tfcanary.adapters.routing import route_objects
from tfcanary.adapters.routing.abilities import Ability
from tfcanary.adapters.routing.entrances import GRPC_PATHS, PORTS
from tfcanary.adapters.routing.weighted import WeightedRouter
from tfcanary.core.domain import Finding, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Entrance, TrafficPlan

NEEDS = "the Gateway API (its standard CRDs)"
HTTP_ROUTES = Resource("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute", needs=NEEDS)
GATEWAYS = Resource("gateway.networking.k8s.io/v1", "gateways", "Gateway", needs=NEEDS)
GATEWAY_CLASSES = Resource("gateway.networking.k8s.io/v1", "gatewayclasses", "GatewayClass", needs=NEEDS, everywhere=True)
H2C = "HTTPRouteBackendProtocolH2C"
"""The feature that a class lists whose Gateways speak HTTP/2 without TLS to backends."""


class GatewayRouter(WeightedRouter):
    """A route counts as in force once every controller that reports on it has seen its newest generation."""

    kind = "gateway"
    abilities = WeightedRouter.abilities | {Ability.GRPC}
    resources = (HTTP_ROUTES, GATEWAYS)
    carrier = HTTP_ROUTES
    rules = "rules"
    backends = "backendRefs"

    @classmethod
    def rights(cls, traffic: TrafficPlan, namespace: str) -> tuple[Right, ...]:
        """The rights to read and write the route, and to read the Gateway that the plan names."""
        place, _ = route_objects.namespace_and_name(traffic.gateway, namespace)
        gateway = Right(GATEWAYS, ("get",), place if place != namespace else "")
        return (Right(HTTP_ROUTES, WRITE), *([gateway] if traffic.gateway else []))

    def bare(self, entrance: Entrance) -> Json:
        """A rule for every request of an entrance, without backends; of two rules that fit, the one with the longer path counts."""
        paths = GRPC_PATHS if entrance is Entrance.GRPC else ("/",)
        return {"matches": [{"path": {"type": "PathPrefix", "value": path}} for path in paths]}

    def backend(self, track: Track, entrance: Entrance, weight: int) -> Json:
        """The fields of a backend that are ours."""
        return {"name": object_names.service(self.model, track), "port": PORTS[entrance], "weight": weight}

    def service_of(self, backend: Json) -> str:
        """The Service of our namespace that a backend names; anything else in words for people."""
        kind, namespace = backend.get("kind", "Service"), backend.get("namespace", self.api.namespace)
        ours = kind == "Service" and not backend.get("group") and namespace == self.api.namespace
        return str(backend["name"]) if ours else f"{kind} {namespace}/{backend['name']}"

    def way_in(self, spec: Json) -> Json:
        """The fields that attach a route of ours to the Gateway and the host names."""
        return {
            "parentRefs": self._parents() or spec.get("parentRefs"),
            "hostnames": [*self.plan.traffic.hostnames] or spec.get("hostnames"),
        }

    def check_way_in(self) -> None:
        """Raises Refused where no Gateway is named, there is none of that name, or its class cannot carry an entrance of the plan."""
        if not self.plan.traffic.gateway:
            missing = f"{self.carrier.kind} {self.route} does not exist in namespace {self.api.namespace}"
            raise Refused(f"traffic.gateway: must name the Gateway that takes users' requests (`name` or `namespace/name`), for {missing}")
        if why := self._unfit_class(self._gateway(self.plan.traffic.gateway)):
            raise Refused(why)

    def entrance(self) -> tuple[Finding, str]:
        """Whether the Gateway exists, is in force, takes routes of our namespace, and can carry the plan's entrances."""
        namespace, name = route_objects.namespace_and_name(self.plan.traffic.gateway, self.api.namespace)
        try:
            found = self._gateway(self.plan.traffic.gateway)
        except Refused as error:
            return Finding.FAIL, f"{error}; create it, or name another"
        gateway = f"Gateway {name} in namespace {namespace}"
        conditions = {one["type"]: one for one in (found.get("status") or {}).get("conditions") or ()}
        for kind in ("Accepted", "Programmed"):
            condition = conditions.get(kind, {})
            if condition.get("status") == "False":
                return Finding.FAIL, f"{gateway} is not in force: {kind} is False, {condition.get('reason')}: {condition.get('message')}"
        listeners = found["spec"].get("listeners") or ()
        if not any(self._takes(one, namespace) for one in listeners):
            return Finding.FAIL, (
                f"{gateway}: none of its {len(listeners)} listeners takes HTTPRoutes of namespace {self.api.namespace}; "
                "set `allowedRoutes.namespaces` of one"
            )
        if why := self._unfit_class(found):
            return Finding.FAIL, why
        if conditions.get("Accepted", {}).get("status") != "True":
            kind = found["spec"].get("gatewayClassName")
            return Finding.WARN, f"{gateway}: no controller says that it serves it; is one of class {kind} running?"
        return Finding.PASS, f"{gateway} is in force, and takes routes of namespace {self.api.namespace}"

    def address(self) -> str:
        """The URL of the first host name; without one, of the address that the Gateway has."""
        route = self.read() or {"spec": self.way_in({})}
        hosts = [*self.plan.traffic.hostnames, *(route["spec"].get("hostnames") or ())]
        for host in hosts:
            if "*" not in host:
                return route_objects.address(host)
        parents = route["spec"].get("parentRefs") or [{"name": ""}]
        return self._address(f"{parents[0].get('namespace', self.api.namespace)}/{parents[0]['name']}")

    def pending(self, route: Json) -> str:
        """Why a route is not in force, in its controllers' words; empty where it is in force, or where no controller reports."""
        generation = route["metadata"].get("generation", 0)
        found = [_complaint(parent, generation) for parent in (route.get("status") or {}).get("parents") or ()]
        return "; ".join(why for why in found if why)

    def _parents(self) -> list[Json]:
        """The reference to the Gateway that the plan names; none where it names none."""
        if not self.plan.traffic.gateway:
            return []
        namespace, name = route_objects.namespace_and_name(self.plan.traffic.gateway, self.api.namespace)
        return [{"name": name} | ({"namespace": namespace} if namespace != self.api.namespace else {})]

    def _gateway(self, named: str) -> Json:
        namespace, name = route_objects.namespace_and_name(named, self.api.namespace)
        found = self.api.elsewhere(namespace).get(GATEWAYS, name) if name else None
        if found is None:
            raise Refused(f"traffic.gateway {named!r}: there is no Gateway {name} in namespace {namespace}")
        return found

    def _unfit_class(self, gateway: Json) -> str:
        """Why the Gateway's class cannot carry gRPC; empty where it can, or need not, or where its features are not known.

        Steps need not be allowed to read classes: then the controller says it of the route.
        """
        if Entrance.GRPC not in self.entrances:
            return ""
        name = str(gateway["spec"].get("gatewayClassName", ""))
        try:
            found = self.api.get(GATEWAY_CLASSES, name)
        except Refused:
            return ""
        # Before version 1.3 of the Gateway API a feature was a text.
        listed = ((found or {}).get("status") or {}).get("supportedFeatures") or ()
        features = {one if isinstance(one, str) else one.get("name") for one in listed}
        if not features or H2C in features:
            return ""
        return (
            f"traffic.entrances: has `grpc`, and GatewayClass {name} does not list {H2C}, by which its Gateways reach a server's gRPC port; "
            "use `entrances: [rest]`, or another Gateway"
        )

    def _address(self, named: str) -> str:
        gateway = self._gateway(named)
        addresses = (gateway.get("status") or {}).get("addresses") or ()
        if not addresses:
            raise Unavailable(f"Gateway {named} has no address yet, and the plan names no `traffic.hostnames`")
        return route_objects.address(addresses[0]["value"], gateway["spec"]["listeners"][0]["port"])

    def _takes(self, listener: Json, namespace: str) -> bool:
        """Whether a listener of a Gateway in this namespace takes HTTPRoutes of ours."""
        allowed = listener.get("allowedRoutes") or {}
        if (wanted := allowed.get("kinds")) and "HTTPRoute" not in [one.get("kind") for one in wanted]:
            return False
        if listener.get("protocol", "HTTP") not in ("HTTP", "HTTPS"):
            return False
        places = allowed.get("namespaces") or {}
        match places.get("from", "Same"):
            case "All":
                return True
            case "Selector":
                labels = ((self.api.get(NAMESPACES, self.api.namespace) or {}).get("metadata") or {}).get("labels") or {}
                return selects(places.get("selector") or {}, labels)
            case "Same":
                return namespace == self.api.namespace
        return False


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of Kubernetes' selects these labels."""
    plain = all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items())
    return plain and all(_fits(one, labels) for one in selector.get("matchExpressions") or ())


def _fits(expression: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
    return value is None


def _complaint(parent: Json, generation: int) -> str:
    """Why a route is not in force, in one controller's words; empty where it is in force."""
    conditions = {one["type"]: one for one in parent.get("conditions") or ()}
    accepted = conditions.get("Accepted")
    if accepted is None or accepted.get("observedGeneration", 0) < generation:
        return f"{parent['controllerName']} has not seen it yet"
    refused = [one for one in (accepted, conditions.get("ResolvedRefs")) if one and one["status"] == "False"]
    return "; ".join(f"{parent['controllerName']} says {one['type']}=False, {one['reason']}: {one['message']}" for one in refused)
