"""The kinds of objects that are asked for, and under which path the API server has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]
"""An object as the API server has it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one version."""

    api: str
    """`v1`, or group/version."""
    plural: str
    """With a subresource (`pods/proxy`) only to ask what is allowed."""
    kind: str
    needs: str = ""
    """What brings the kind into a cluster, for the sentence that says it is missing; empty: every cluster has it."""
    everywhere: bool = False
    """It belongs to the cluster, not to a namespace."""

    @property
    def group(self) -> str:
        """Empty for what is as old as Kubernetes."""
        return self.api.rpartition("/")[0]

    def path(self, namespace: str, name: str = "") -> str:
        """Where the API server has it."""
        root = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        # Names of routes and namespaces are typed by people: none may lead to another path.
        parts = (self.plural, name) if self.everywhere else ("namespaces", namespace, self.plural, name)
        return "/".join([root, *(quote(part, safe="") for part in parts if part)])


CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
EVENTS = Resource("v1", "events", "Event")
PODS = Resource("v1", "pods", "Pod")
PAGES = Resource("v1", "pods/proxy", "Pod")
"""What `Api.page` reads: to ask whether it is allowed."""
SERVICES = Resource("v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount")
NAMESPACES = Resource("v1", "namespaces", "Namespace", everywhere=True)
INGRESSES = Resource("networking.k8s.io/v1", "ingresses", "Ingress")
INGRESS_CLASSES = Resource("networking.k8s.io/v1", "ingressclasses", "IngressClass", everywhere=True)
HTTP_ROUTES = Resource("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute", needs="the Gateway API (its standard CRDs)")
GATEWAYS = Resource("gateway.networking.k8s.io/v1", "gateways", "Gateway", needs="the Gateway API (its standard CRDs)")
VIRTUAL_SERVICES = Resource("networking.istio.io/v1", "virtualservices", "VirtualService", needs="Istio")
ISTIO_GATEWAYS = Resource("networking.istio.io/v1", "gateways", "Gateway", needs="Istio")
DESTINATION_RULES = Resource("networking.istio.io/v1", "destinationrules", "DestinationRule", needs="Istio")
