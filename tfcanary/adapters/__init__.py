"""Platforms: the ports bound to a cluster or to this machine. Components and the CLI open one here, and know no more."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tfcanary.adapters.doctor_checks import Wanted
from tfcanary.adapters.package_check import check_package
from tfcanary.core.domain import Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change, Platform

FORMS = "local:///<state folder>, for example local:///srv/tfcanary, or kube://<namespace>"
STATE = Path(".tfcanary")
"""The local platform's folder, below the working directory, where none is named."""
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PATIENCE = 90.0
"""Seconds for which a cluster is asked which models it has: as long as for any other call."""


def default() -> str:
    """TFCANARY_PLATFORM, else the local platform of the working directory."""
    return os.environ.get("TFCANARY_PLATFORM") or f"local://{STATE.resolve()}"


def open_platform(uri: str, model: str, plan: Plan) -> Platform:
    """The platform that a URI names, bound to one model; asks nothing of it yet. Raises Refused where the URI or the name is none."""
    check_package()
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "local":
        return _local(uri, rest, model, plan)
    if separator and scheme == "kube":
        from tfcanary.adapters.kube.platform import open_kube

        return open_kube(uri, _namespace(uri, rest), model, plan)
    raise Refused(f"platform {uri!r}: is no platform; use {FORMS}")


def models(uri: str, patience: float = PATIENCE) -> tuple[str, ...]:
    """The models that have a record on a platform, sorted; a cluster is asked for `patience` seconds. Raises Refused where the URI is none."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "local" and rest.startswith("/"):
        from tfcanary.adapters.local.folder import Folder

        return tuple(sorted(path.stem for path in Folder(Path(rest)).records.glob("*.json")))
    if separator and scheme == "kube":
        from tfcanary.adapters.kube.recorded_models import models_with_record
        from tfcanary.adapters.kubeclient.api import Api

        return models_with_record(Api(_namespace(uri, rest), patience=patience))
    raise Refused(f"platform {uri!r}: is no platform; use {FORMS}")


def examine(uri: str, wanted: Wanted) -> Look:
    """Whether a platform is ready for what is wanted, check by check. Raises Refused where the URI is none, nothing else."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "local" and rest.startswith("/"):
        from tfcanary.adapters.local import doctor as machine
        from tfcanary.adapters.local.folder import Folder

        return machine.examine(Folder(Path(rest)), wanted)
    if separator and scheme == "kube":
        from tfcanary.adapters.kube import doctor as cluster

        return cluster.examine(uri, _namespace(uri, rest), wanted)
    raise Refused(f"platform {uri!r}: is no platform; use {FORMS}")


def adopt(uri: str, model: str, deployment: str, number: int, plan: Plan, dry_run: bool) -> tuple[Change, ...]:
    """Take over a cluster's Deployment as the model's stable version, without restarting a pod; `dry_run`: only say what would change."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme != "kube":
        raise Refused(f"platform {uri!r}: there are Deployments on a cluster only; use kube://<namespace>")
    from tfcanary.adapters.kube import adoption
    from tfcanary.adapters.kubeclient.api import Api

    return adoption.adopt(Api(_namespace(uri, rest)), model, deployment, number, plan, dry_run)


def _local(uri: str, path: str, model: str, plan: Plan) -> Platform:
    from tfcanary.adapters.local.folder import Folder
    from tfcanary.adapters.local.platform import open_local

    if not path.startswith("/"):
        raise Refused(f"platform {uri!r}: the state folder must be absolute; use local:///{path.lstrip('./') or 'srv/tfcanary'}")
    return open_local(Folder(Path(path)), model, plan)


def _namespace(uri: str, rest: str) -> str:
    if not NAMESPACE.fullmatch(rest):
        raise Refused(f"platform {uri!r}: is no platform; use kube://<namespace>, at most 63 lower-case letters, digits and hyphens")
    return rest
