"""The guard of a release: a Deployment of one pod, which no pipeline's run owns and which Kubernetes starts again when it dies."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kube.ownership import check_ours
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.fenced_writes import compare_and_swap
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, PODS, Json
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.plan import Plan

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""The file with the namespace of the pod: a step's namespace need not be the model's."""
STEP = "main"
"""The name that Kubeflow Pipelines gives the container of a step, beside containers of its own."""
UNKNOWN, ADVICE = "which image is tfcanary's own is unknown", "set guard.image in the plan"


@dataclass(frozen=True, slots=True)
class KubeGuards:
    """`ports.Guards` for one model; the plan may say that an administrator's guard is there already."""

    api: Api
    model: str
    plan: Plan

    def start(self, run_id: str) -> None:
        """Make the guard's Deployment, where it does not guard this release already; another release's guard is replaced.

        Raises Refused where its image is unknown, Conflict where a third release's guard was started meanwhile.
        """
        before = self._present()
        check_ours(before, self.model)
        if self.plan.guard.installed or guarded_run(before) == run_id:
            return
        image = tfcanary_image(self.api, self.plan)
        body = manifests.guard(self.model, self.api.namespace, run_id, self.plan, image)

        def write() -> Callable[[], object]:
            present = self._present()
            if guarded_run(present) not in (None, run_id, guarded_run(before)):
                raise Conflict(f"Deployment {object_names.guard(self.model)} guards release {guarded_run(present)!r} by now")
            return (lambda: None) if guarded_run(present) == run_id else (lambda: self._replace(present, body))

        compare_and_swap(write, f"Deployment {object_names.guard(self.model)} in namespace {self.api.namespace}")

    def stop(self, run_id: str) -> None:
        """Delete the guard's Deployment, where it still is this release's."""

        def write() -> Callable[[], None]:
            present = self._present()
            ours = present is not None and guarded_run(present) == run_id
            return (lambda: self.api.delete(DEPLOYMENTS, object_names.guard(self.model), present)) if ours else (lambda: None)

        compare_and_swap(write, f"Deployment {object_names.guard(self.model)} in namespace {self.api.namespace}")

    def _present(self) -> Json | None:
        return self.api.get(DEPLOYMENTS, object_names.guard(self.model))

    def _replace(self, present: Json | None, body: Json) -> Json:
        # Not by an update: what another plan's guard has and this one's has not would stay.
        if present is not None:
            self.api.delete(DEPLOYMENTS, object_names.guard(self.model), present)
        return self.api.create(DEPLOYMENTS, body)


def guarded_run(deployment: Json | None) -> str | None:
    """The run whose release a guard guards; None where it is no guard."""
    return (deployment["metadata"].get("annotations") or {}).get(manifests.RUN_ID) if deployment else None


def tfcanary_image(api: Api, plan: Plan) -> str:
    """The image of tfcanary that the plan names, or else that of this process. Raises Refused where neither is known."""
    return plan.guard.image or own_image(api)


def own_image(api: Api) -> str:
    """The image of the container that this process runs in, as its pod says; raises Refused, with what to do, where that is unknown."""
    name = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME", "")
    if not name:
        raise Refused(f"{UNKNOWN}, for this is no pod; {ADVICE}")
    at = api.elsewhere(OWN_NAMESPACE.read_text().strip()) if OWN_NAMESPACE.is_file() else api
    pod = at.get(PODS, name)
    if pod is None:
        raise Refused(f"{UNKNOWN}, for there is no pod {name} in namespace {at.namespace}; {ADVICE}")
    containers = pod["spec"]["containers"]
    image = next((one["image"] for one in containers if one["name"] == STEP or len(containers) == 1), None)
    if image is None:
        has = ", ".join(str(one["name"]) for one in containers)
        raise Refused(f"{UNKNOWN}, for pod {name} has the containers {has} and none is called {STEP}; {ADVICE}")
    return str(image)
