"""The submission of a compiled pipeline, to this machine or to a KFP host, for the command line and the triggers.

This is the only package that imports the KFP SDK. The progress of a release is read from its record, and not from its run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from tfcanary import __version__
from tfcanary.adapters.kube.pod_patch import Claim
from tfcanary.core.domain import Look
from tfcanary.core.errors import Refused
from tfcanary.run.submit.host_auth import HostAuth

PLACEHOLDER = f"tfcanary-python:{__version__}"
"""The image that a package names where it was compiled without one; no registry has it."""


class Run(Protocol):
    """A pipeline that was submitted."""

    def result(self) -> bool | None:
        """Return None while the pipeline runs, then whether it succeeded; a release that was rolled back is a success. Raises Unavailable."""

    def stop(self) -> None:
        """Stop the pipeline's own processes or pods; the guard and the record are not touched. Raises Unavailable."""

    def describe(self) -> str:
        """Return where a person can look at the run: a log file or an address."""

    def failure(self) -> str:
        """Return what the first failed step said last, in one line; empty where that is not known here."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A package with its arguments, and where it is submitted."""

    pipeline: str
    """The package's name: `canary_release` or `abort_release`."""
    arguments: Mapping[str, Any]
    folder: Path
    """The folder in which a local run keeps its artifacts and its log."""
    host: str = ""
    """The endpoint of a KFP API; empty means this machine."""
    host_ui: str = ""
    """The address at which people open that host's pages; empty means `host`."""
    host_auth: HostAuth = HostAuth()
    """The credentials for that host."""
    image: str = ""
    """The image in which the steps run on a KFP host; empty means the image that the package names, as `check_image` lets it."""
    service_account: str = ""
    """The Kubernetes service account of the run's pods on a KFP host; empty means the host's default account."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """The memory limits of steps on a KFP host in MiB, by the name of their component; other steps have the package's."""
    claim: Claim | None = None
    """The volume with the bucket, for every step on a KFP host; None where the bucket is no volume."""


def package(name: str) -> str:
    """Return a compiled pipeline or component as YAML."""
    return resources.files("tfcanary").joinpath("packages", f"{name}.yaml").read_text(encoding="utf-8")


def check_image(image: str, at: str = "image (--image)") -> None:
    """Check that a KFP host can pull the image of the steps; raises Refused naming the option (`at`) where nobody has named one.

    Packages that were compiled for an image need no other one.
    """
    if not image and PLACEHOLDER in package("canary_release"):
        raise Refused(
            f"{at}: is missing, and the package names {PLACEHOLDER}, which no registry has; name the image that your cluster pulls"
        )


def start(submission: Submission) -> Run:
    """Submit a pipeline; raises Unavailable where the KFP host cannot be reached."""
    if submission.host:
        from tfcanary.run.submit.remote_run import RemoteRun

        return RemoteRun.start(submission)
    from tfcanary.run.submit.local_run import LocalRun

    return LocalRun.start(submission)


def examine(host: str, auth: HostAuth | None = None) -> Look:
    """Return whether a KFP host would take a pipeline, as a look with one finding."""
    from tfcanary.adapters.doctor_checks import Check, run_checks
    from tfcanary.run.submit.remote_run import check_host

    check = Check("pipelines", lambda: check_host(host, auth), advice="look at --host; a port that is forwarded may have been closed")
    return run_checks("doctor", [check])
