"""The kinds of objects that are read and written, the paths under which the API server has them, and rights to them.

The kinds of a router's own objects are in the router's module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]
"""An object as the API server has it."""
WRITE = ("get", "create", "patch")
"""The verbs of a server-side apply over what was read: `patch`, and `create` where there is nothing yet."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one version."""

    api: str
    """`v1`, or group/version."""
    plural: str
    """The name in paths and in rights; with a subresource (`pods/proxy`) only in a question about rights."""
    kind: str
    needs: str = ""
    """What brings the kind into a cluster, for the sentence that says it is missing; empty: every cluster has it."""
    everywhere: bool = False
    """Whether it belongs to the cluster, not to a namespace."""

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api.rpartition("/")[0]

    def path(self, namespace: str, name: str = "") -> str:
        """The path of an object; without a name, the path of all objects of the kind."""
        root = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        # Names of routes and namespaces are typed by people: none may lead to another path.
        parts = (self.plural, name) if self.everywhere else ("namespaces", namespace, self.plural, name)
        return "/".join([root, *(quote(part, safe="") for part in parts if part)])


CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
DISRUPTION_BUDGETS = Resource("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
EVENTS = Resource("v1", "events", "Event")
PODS = Resource("v1", "pods", "Pod")
PAGES = Resource("v1", "pods/proxy", "Pod")
"""What `Api.page` reads; used in questions about rights."""
RESOURCE_QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")
SECRETS = Resource("v1", "secrets", "Secret")
SERVICES = Resource("v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount")
AUTOSCALERS = Resource("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
NAMESPACES = Resource("v1", "namespaces", "Namespace", everywhere=True)


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one kind, as a Role grants them."""

    resource: Resource
    verbs: tuple[str, ...]
    namespace: str = ""
    """Empty: the model's namespace."""
