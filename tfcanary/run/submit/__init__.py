"""Submission of a compiled pipeline, shared by the command line and the triggers: on this machine or on a KFP host.

The only package that imports the KFP SDK. Progress is not asked of a run: whoever wants to know reads the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from tfcanary.core.domain import Look


class Run(Protocol):
    """A submitted pipeline."""

    def finished(self) -> bool | None:
        """None while it runs; then whether it succeeded (a rolled-back release is a success). Raises Unavailable where nobody knows."""

    def stop(self) -> None:
        """Stop the pipeline's own processes or pods; the guard and the record are not touched."""

    def describe(self) -> str:
        """Where to look: a log file or an address."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is submitted: a package's name, its arguments, and where."""

    pipeline: str
    """`canary_release` or `abort_release`."""
    arguments: Mapping[str, Any]
    folder: Path
    """Where a local run keeps its artifacts and its log."""
    host: str = ""
    """A KFP API endpoint; empty: this machine."""
    image: str = ""
    """The image in which the steps run on a KFP host; empty: the one that the package was compiled with."""
    service_account: str = ""
    """The Kubernetes service account of the run's pods on a KFP host; empty: the host's default."""


def package(name: str) -> str:
    """The compiled pipeline or component as YAML."""
    return resources.files("tfcanary").joinpath("packages", f"{name}.yaml").read_text(encoding="utf-8")


def start(submission: Submission) -> Run:
    """Submit it; raises Unavailable where the KFP host cannot be reached."""
    if submission.host:
        from tfcanary.run.submit.remote_run import RemoteRun

        return RemoteRun.start(submission)
    from tfcanary.run.submit.local_run import LocalRun

    return LocalRun.start(submission)


def examine(host: str) -> Look:
    """Whether a KFP host would take a pipeline."""
    from tfcanary.adapters.doctor_checks import Check, run_checks
    from tfcanary.run.submit.remote_run import answers

    return run_checks(
        "doctor", [Check("pipelines", lambda: answers(host), advice="look at --host; a port that is forwarded may have been closed")]
    )
