"""The guard of a release: a Deployment of one pod, which no pipeline's run owns and which Kubernetes starts again when it dies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.ownership import applied, check_ours
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, PODS
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a pod finds the namespace that it runs in: a step's need not be the model's."""
STEP = "main"
"""How Kubeflow Pipelines calls the container of a step, beside those of its own."""
TELL = "set guard.image in the plan"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KubeGuards:
    """`ports.Guards` for one model; the plan may say that an administrator's guard is there already."""

    api: Api
    model: str
    plan: Plan

    def start(self, run_id: str) -> None:
        """Apply the guard's Deployment, where it does not guard this release already. Raises Refused where its image is unknown."""
        present = self._present()
        check_ours(present, self.model)
        if self.plan.guard.installed or guarded(present) == run_id:
            return
        image = self.plan.guard.image or own_image(self.api)
        applied(self.api, DEPLOYMENTS, manifests.guard(self.model, self.api.namespace, run_id, self.plan, image))

    def stop(self, run_id: str) -> None:
        """Delete the guard's Deployment, where it still is this release's."""
        if guarded(self._present()) == run_id:
            self.api.delete(DEPLOYMENTS, object_names.guard(self.model))

    def _present(self) -> Json | None:
        return self.api.get(DEPLOYMENTS, object_names.guard(self.model))


def guarded(deployment: Json | None) -> str | None:
    """The run whose release a guard guards; None where it is no guard."""
    return (deployment["metadata"].get("annotations") or {}).get(manifests.RUN_ID) if deployment else None


def own_image(api: Api) -> str:
    """The image of the container that this process runs in, as its pod says; raises Refused, with what to do, where that is unknown."""
    name = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME", "")
    if not name:
        raise Refused(f"guard: which image it needs is unknown, for this is no pod; {TELL}")
    at = api.elsewhere(OWN_NAMESPACE.read_text().strip()) if OWN_NAMESPACE.is_file() else api
    pod = at.get(PODS, name)
    if pod is None:
        raise Refused(f"guard: which image it needs is unknown, for there is no pod {name} in namespace {at.namespace}; {TELL}")
    containers = pod["spec"]["containers"]
    image = next((one["image"] for one in containers if one["name"] == STEP or len(containers) == 1), None)
    if image is None:
        has = ", ".join(str(one["name"]) for one in containers)
        raise Refused(f"guard: which image it needs is unknown, for pod {name} has the containers {has} and none is called {STEP}; {TELL}")
    return str(image)
