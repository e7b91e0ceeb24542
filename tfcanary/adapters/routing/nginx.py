"""The router over ingress-nginx: a second Ingress with canary annotations beside the one that users' requests come by.

The first Ingress leads to stable and never changes with the weight; the second is the carrier. REST only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import WRITE, Json, Resource, Right
from tfcanary.adapters.routing import route_objects
from tfcanary.adapters.routing.cluster_router import ClusterRouter, OwnedFields
from tfcanary.core.domain import Finding, Intent, Track, Traffic
from tfcanary.core.errors import Diverted, Refused, Unavailable
from tfcanary.core.plan import TrafficPlan

INGRESSES = Resource("networking.k8s.io/v1", "ingresses", "Ingress")
INGRESS_CLASSES = Resource("networking.k8s.io/v1", "ingressclasses", "IngressClass", everywhere=True)
PREFIX = "nginx.ingress.kubernetes.io/"
CANARY = f"{PREFIX}canary"
WEIGHT = f"{PREFIX}canary-weight"
TOTAL = f"{PREFIX}canary-weight-total"
AFFINITY = f"{PREFIX}affinity-canary-behavior"
"""`legacy`: otherwise a client with a cookie of the canary stays with the canary, even at weight 0."""
CLASS = "kubernetes.io/ingress.class"
"""Older than `ingressClassName`, and still used."""
CONTROLLER = "k8s.io/ingress-nginx"
"""The controller whose annotations we write."""
TRAEFIK = "traefik.io/ingress-controller"
"""Traefik's controller. Its provider for these annotations knows no `legacy`: clients with a cookie would stay with the canary."""
ARCHIVED = "ingress-nginx is archived since March 2026 and gets no fixes: move to `router: gateway`, as docs/gateway-move.md describes"


class NginxRouter(ClusterRouter):
    """The annotations themselves count as in force: the controller reports nothing about them."""

    kind = "nginx"
    resources = (INGRESSES,)
    carrier = INGRESSES

    @classmethod
    def rights(cls, traffic: TrafficPlan, namespace: str) -> tuple[Right, ...]:
        """The rights to read and write the Ingresses."""
        return (Right(INGRESSES, WRITE),)

    @classmethod
    def guard_rights(cls) -> tuple[Right, ...]:
        """The rights to read and write the Ingresses."""
        return (Right(INGRESSES, WRITE),)

    def owned_fields(self) -> tuple[OwnedFields, ...]:
        """The annotations and the rules of the second Ingress."""
        annotations = (f"/metadata/annotations/{name.replace('/', '~1')}" for name in (CANARY, WEIGHT, AFFINITY))
        return (OwnedFields(INGRESSES, self.carrier_name, (*annotations, "/spec/rules")),)

    @property
    def carrier_name(self) -> str:
        """The name of the second Ingress."""
        return f"{self.route}-canary"

    def check(self, stages: Sequence[Traffic]) -> None:
        """Read only. Raises Refused where a release would stop later. Any share can be had: only the Ingresses are looked at."""
        main = self._main()
        self._check_main(main)
        self._check_class(main)
        self._check_one(main, Track.STABLE, "its requests, and changes nothing of it")
        self._check_one(self.read(), Track.CANARY, "its rules and annotations")

    def entrance(self) -> tuple[Finding, str]:
        """Whether the ingress class exists and is ingress-nginx's; where it is, the warning that the controller is archived."""
        name = self.plan.traffic.gateway
        try:
            found = self.api.get(INGRESS_CLASSES, name)
        except Refused as error:
            return Finding.WARN, f"traffic.gateway {name!r}: whether there is such an ingress class is unknown: {error}; {ARCHIVED}"
        if found is None:
            return Finding.FAIL, f"traffic.gateway {name!r}: there is no such ingress class; name another; {ARCHIVED}"
        if why := _why_unfit(found):
            return Finding.FAIL, f"{why}; name another"
        return Finding.WARN, f"ingress class {name} is {CONTROLLER}'s; {ARCHIVED}"

    def address(self) -> str:
        """The URL of the first host name; without one, of the address that the controller has given the first Ingress."""
        main = self._main() or self._fresh_main()
        hosts = [*self.plan.traffic.hostnames, *(rule["host"] for rule in main["spec"].get("rules") or () if "host" in rule)]
        for host in hosts:
            if "*" not in host:
                return route_objects.address(host)
        given = main.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
        if not given:
            raise Unavailable(f"{self._ingress_name(self.route)}: has no address yet, and the plan names no `traffic.hostnames`")
        return route_objects.address(given[0].get("hostname") or given[0]["ip"])

    def prepare(self, traffic: Traffic, intent: Intent) -> None:
        """Raises Refused where the first Ingress must be made, and the plan does not say how, or where no second one can be joined to it."""
        if traffic != Traffic():
            self._check_main(self._main())

    def before(self, traffic: Traffic) -> tuple[tuple[Resource, Json], ...]:
        """The first Ingress, where the weight rises: the second one needs it."""
        return self._ours() if traffic != Traffic() else ()

    def after(self, traffic: Traffic) -> tuple[tuple[Resource, Json], ...]:
        """The first Ingress, on the way to weight 0: the second one matters more."""
        return self._ours() if traffic == Traffic() else ()

    def carrier_body(self, found: Json | None, traffic: Traffic) -> Json | None:
        """The second Ingress, at weight 0 as well, for it carries the stamp; None where the controller would join it to nothing."""
        if found and traffic == Traffic():
            # It keeps its own rules: those of the first may have become what cannot be written.
            return self._second(found, traffic)
        main = self._main() or (self._fresh_main() if self.plan.traffic.gateway else None)
        return self._second(main, traffic) if main and main["spec"].get("rules") else None

    def traffic_in(self, found: Json | None) -> Traffic:
        """The traffic that the annotations make; where either Ingress is missing, the canary has none.

        Raises Diverted where an Ingress leads elsewhere, or the second is no canary Ingress any more.
        """
        if found is None:
            return Traffic()
        annotations: Mapping[str, str] = found["metadata"].get("annotations") or {}
        weight, total = annotations.get(WEIGHT, "0"), annotations.get(TOTAL, "100")
        if annotations.get(CANARY) != "true" or not weight.isdecimal() or not total.isdecimal():
            raise Diverted(f"{self.display_name}: is no canary Ingress: {CANARY} {annotations.get(CANARY)!r}, {WEIGHT} {weight!r}")
        main = self._main() if int(weight) else None
        if main is None:
            return Traffic()
        for one, track in ((main, Track.STABLE), (found, Track.CANARY)):
            wanted = object_names.service(self.model, track)
            if set(_backends(one)) != {wanted}:
                there = ", ".join(_backends(one)) or "nothing"
                raise Diverted(f"{self._ingress_name(one['metadata']['name'])}: leads to {there} instead of {wanted}")
        return route_objects.share(int(weight), int(total) - int(weight))

    def await_in_force(self, traffic: Traffic, intent: Intent, written: Json) -> None:
        """Read the annotations back; no controller reports on them."""
        self.check_read_back(written, traffic, intent)

    def _ingress_name(self, name: str) -> str:
        return f"Ingress {name} in namespace {self.api.namespace}"

    def _main(self) -> Json | None:
        return self.api.get(INGRESSES, self.route)

    def _check_one(self, found: Json | None, track: Track, part: str) -> None:
        if found is None:
            return
        route_objects.check_owner(INGRESSES, found, self.model, self.plan.adopt, part)
        wanted = object_names.service(self.model, track)
        if others := [one for one in _backends(found) or ["nothing"] if one != wanted]:
            named = self._ingress_name(found["metadata"]["name"])
            raise Refused(f"{named}: leads to {', '.join(others)}; must lead to {wanted} alone; move the others to another Ingress")

    def _check_main(self, main: Json | None) -> None:
        if main is None and not self.plan.traffic.gateway:
            raise Refused(f"traffic.gateway: must name the class of the ingress, for {self._ingress_name(self.route)} does not exist")
        if main is not None and not main["spec"].get("rules"):
            raise Refused(f"{self._ingress_name(self.route)}: has no rules, so no second Ingress can be joined to it; give it one")

    def _check_class(self, main: Json | None) -> None:
        """Raises Refused where the class is another controller's. Steps need not be allowed to read classes; then nothing is known."""
        if not (name := main["spec"].get("ingressClassName") if main else self.plan.traffic.gateway):
            return
        try:
            found = self.api.get(INGRESS_CLASSES, name)
        except Refused:
            return
        if found and (why := _why_unfit(found)):
            raise Refused(f"traffic.router `nginx`: {why}; use `router: gateway`")

    def _ours(self) -> tuple[tuple[Resource, Json], ...]:
        """The first Ingress, where it is ours or is to be."""
        main = self._main()
        ours = route_objects.is_ours(main, self.model) if main else bool(self.plan.traffic.gateway)
        return ((INGRESSES, self._fresh_main()),) if ours else ()

    def _fresh_main(self) -> Json:
        rules = [_rule(host, object_names.service(self.model, Track.STABLE)) for host in self.plan.traffic.hostnames or ("",)]
        return route_objects.whole(INGRESSES, self.route, self.model, {"ingressClassName": self.plan.traffic.gateway, "rules": rules})

    def _second(self, like: Json, traffic: Traffic) -> Json:
        """The second Ingress with the class, hosts and paths of another one: by these the controller joins the two."""
        annotations = like["metadata"].get("annotations") or {}
        written = {
            CANARY: "true",
            WEIGHT: str(traffic.canary),
            AFFINITY: "legacy",
            **{key: annotations[key] for key in (CLASS,) if key in annotations},
        }
        spec = {key: like["spec"][key] for key in ("ingressClassName",) if like["spec"].get(key)}
        rules = [_towards(rule, object_names.service(self.model, Track.CANARY)) for rule in like["spec"].get("rules") or ()]
        return route_objects.whole(INGRESSES, self.carrier_name, self.model, {**spec, "rules": rules}, written)


def _why_unfit(ingress_class: Json) -> str:
    """Why the controller of an ingress class does not do what a release needs; empty where it is ingress-nginx."""
    name, controller = ingress_class["metadata"]["name"], str(ingress_class["spec"].get("controller", ""))
    if controller.startswith(CONTROLLER):
        return ""
    if controller == TRAEFIK:
        return f"ingress class {name} is Traefik's ({TRAEFIK}): a rollback would leave clients with a cookie at the canary"
    return f"ingress class {name} is {controller}'s: only {CONTROLLER} understands all canary annotations"


def _rule(host: str, service: str) -> Json:
    path = {"path": "/", "pathType": "Prefix", "backend": _backend(service)}
    return {**({"host": host} if host else {}), "http": {"paths": [path]}}


def _backend(service: str) -> Json:
    return {"service": {"name": service, "port": {"number": object_names.REST}}}


def _towards(rule: Json, service: str) -> Json:
    return {**rule, "http": {"paths": [{**path, "backend": _backend(service)} for path in rule.get("http", {}).get("paths") or ()]}}


def _backends(found: Json) -> list[str]:
    """The backends of an Ingress: names of Services, and other objects in words."""
    spec = found["spec"]
    paths = [path for rule in spec.get("rules") or () for path in rule.get("http", {}).get("paths") or ()]
    backends = [path["backend"] for path in paths] + ([spec["defaultBackend"]] if spec.get("defaultBackend") else [])
    return [one["service"]["name"] if "service" in one else f"{one['resource']['kind']} {one['resource']['name']}" for one in backends]
