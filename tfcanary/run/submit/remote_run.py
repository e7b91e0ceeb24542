"""A pipeline on a KFP host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary.adapters.doctor_checks import CheckResult
from tfcanary.adapters.kube.pod_patch import Claim
from tfcanary.core import codec
from tfcanary.core.domain import Finding
from tfcanary.run.submit import Submission, package
from tfcanary.run.submit.host_auth import HostAuth
from tfcanary.run.submit.kfp_api import KfpApi

SUCCEEDED = {"SUCCEEDED": True, "SKIPPED": True, "FAILED": False, "CANCELED": False}
"""For each state in which a run has ended: whether it succeeded."""

Json = dict[str, Any]


def read_package(name: str, image: str = "", memory: Mapping[str, int] | None = None, claim: Claim | None = None) -> tuple[Json, Json]:
    """Return a package's two documents: the pipeline, and its pods' settings.

    With `image` every step runs in that image. `memory` holds memory limits in MiB, by the name of a component. With `claim` every step
    has that volume. Raises Refused where Argo or Kubernetes would expand a part of the image's name.
    """
    import yaml

    codec.decode(str, image, at="image")

    documents = list(yaml.safe_load_all(package(name)))
    pipeline, pods = documents[0], documents[1] if len(documents) > 1 else {}
    executors = pipeline["deploymentSpec"]["executors"]
    for executor in executors.values() if image else ():
        executor["container"]["image"] = image
    for component, mib in (memory or {}).items():
        # The second field is the first one's old form, in units of 10^9 bytes, for older hosts.
        limit = {"resourceMemoryLimit": f"{mib}Mi", "memoryLimit": mib * 2**20 / 1e9}
        executors[f"exec-{component.replace('_', '-')}"]["container"]["resources"].update(limit)
    if claim:
        for pod in pods["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            pod["pvcMount"] = [_pvc_mount(claim)]
    return pipeline, pods


def _pvc_mount(claim: Claim) -> Json:
    # The second field is the first one's old form, for older hosts.
    name = {"pvcNameParameter": {"runtimeValue": {"constant": claim.name}}, "constant": claim.name}
    return {**name, "mountPath": claim.mount_path, **({"subPath": claim.sub_path} if claim.sub_path else {})}


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A run on a KFP host."""

    api: KfpApi
    ui: str
    """The address at which people open the host's pages."""
    run_id: str

    @classmethod
    def start(cls, submission: Submission) -> RemoteRun:
        """Submit a pipeline to its host; raises Unavailable where the host cannot be reached or refuses the run."""
        api = KfpApi.connect(submission.host, submission.host_auth)
        pipeline, pods = read_package(submission.pipeline, submission.image, submission.memory, submission.claim)
        # The name of a release's run is the release's id, so that a run whose answer was lost is found again.
        release_id = str(submission.arguments.get("release_id") or "")
        run: Mapping[str, Any] = {
            "display_name": f"{submission.pipeline} {release_id or submission.arguments.get('model_name', '')}",
            "description": pipeline["pipelineInfo"].get("description", ""),
            "pipeline_spec": {"pipeline_spec": pipeline, "platform_spec": pods} if pods else pipeline,
            "runtime_config": {"parameters": dict(submission.arguments)},
            **({"service_account": submission.service_account} if submission.service_account else {}),
        }
        return cls(api, (submission.host_ui or api.url).rstrip("/"), api.create_run(dict(run), once=release_id != ""))

    def result(self) -> bool | None:
        """Return None while the host says that the run goes on, then whether it succeeded. Raises Unavailable."""
        return SUCCEEDED.get(self.api.run_state(self.run_id))

    def stop(self) -> None:
        """Terminate the run; the host may leave out its exit step, and the guard then ends the release. Raises Unavailable."""
        self.api.terminate_run(self.run_id)

    def describe(self) -> str:
        """Return the address of the run's page."""
        return f"{self.ui}/#/runs/details/{self.run_id}"

    def failure(self) -> str:
        """Return nothing: the words of a step are in its pod's log, which this machine may not reach."""
        return ""


def check_host(host: str, auth: HostAuth | None = None) -> CheckResult:
    """Return whether a KFP host can be reached and has a version that runs the packages. Raises Unavailable."""
    api = KfpApi.connect(host, auth)
    many = ", for many users: name the steps' account with --service-account" if api.is_multi_user() else ""
    version = api.version()
    if re.match(r"v?[01]\.", version):
        return Finding.FAIL, f"KFP at {host} is {version}: the package needs 2.0 or newer; upgrade the backend"
    return Finding.PASS, f"KFP at {host} answers, version {version or 'unknown'}{many}"
