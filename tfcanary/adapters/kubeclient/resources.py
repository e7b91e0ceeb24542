"""The kinds of Kubernetes objects that tfcanary uses, and their paths on the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]
"""A Kubernetes object as plain JSON."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object in one API version."""

    api: str
    """`v1`, or group/version."""
    plural: str
    """The kind's name in paths; with a subresource (`pods/proxy`) only to ask what is allowed."""
    kind: str
    needs: str = ""
    """What must be installed for the kind to exist, for the sentence that says it is missing; empty where every cluster has it."""
    cluster_wide: bool = False
    """Whether objects of the kind belong to the cluster, not to a namespace."""

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api.rpartition("/")[0]

    def path(self, namespace: str, name: str = "") -> str:
        """The path of an object, or of all objects in the namespace where `name` is empty."""
        root = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        # Names of routes and namespaces are typed by people: none may lead to another path.
        parts = (self.plural, name) if self.cluster_wide else ("namespaces", namespace, self.plural, name)
        return "/".join([root, *(quote(part, safe="") for part in parts if part)])


CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
EVENTS = Resource("v1", "events", "Event")
PODS = Resource("v1", "pods", "Pod")
PAGES = Resource("v1", "pods/proxy", "Pod")
"""The subresource that `Api.page` reads, to ask whether that is allowed."""
SERVICES = Resource("v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount")
NAMESPACES = Resource("v1", "namespaces", "Namespace", cluster_wide=True)
INGRESSES = Resource("networking.k8s.io/v1", "ingresses", "Ingress")
INGRESS_CLASSES = Resource("networking.k8s.io/v1", "ingressclasses", "IngressClass", cluster_wide=True)
HTTP_ROUTES = Resource("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute", needs="the Gateway API (its standard CRDs)")
GATEWAYS = Resource("gateway.networking.k8s.io/v1", "gateways", "Gateway", needs="the Gateway API (its standard CRDs)")
VIRTUAL_SERVICES = Resource("networking.istio.io/v1", "virtualservices", "VirtualService", needs="Istio")
ISTIO_GATEWAYS = Resource("networking.istio.io/v1", "gateways", "Gateway", needs="Istio")
DESTINATION_RULES = Resource("networking.istio.io/v1", "destinationrules", "DestinationRule", needs="Istio")
