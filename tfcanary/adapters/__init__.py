"""Opens platforms, the ports bound to a cluster or to this machine: components and the command line know nothing else of either."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tfcanary.adapters.doctor_checks import Requirements
from tfcanary.adapters.package_check import check_package
from tfcanary.core.domain import Look
from tfcanary.core.errors import Refused, TfcanaryError, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change, Platform
from tfcanary.core.record import Record

PLATFORM_URIS = "local:///<state folder>, for example local:///srv/tfcanary, or kube://<namespace>"
STATE = Path(".tfcanary")
"""The local platform's folder below the working directory, where no platform is named."""
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PATIENCE = 90.0
"""Seconds for which the question which models a cluster has is tried again: as long as any other call."""


def default_platform() -> str:
    """The URI in the environment variable TFCANARY_PLATFORM, else that of the local platform of the working directory."""
    return os.environ.get("TFCANARY_PLATFORM") or f"local://{STATE.resolve()}"


def open_platform(uri: str, model: str, plan: Plan) -> Platform:
    """Open the platform that a URI names, bound to one model, without a call to it. Raises Refused where the URI or the model's name is not valid."""
    check_package()
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "local":
        return _local(uri, rest, model, plan)
    if separator and scheme == "kube":
        from tfcanary.adapters.kube.platform import open_kube

        return open_kube(uri, _namespace(uri, rest), model, plan)
    raise Refused(f"platform {uri!r}: is no platform; use {PLATFORM_URIS}")


def models(uri: str, patience: float = PATIENCE) -> tuple[str, ...]:
    """The sorted names of the models that have a record on a platform.

    A cluster that does not answer is tried again for `patience` seconds. Raises Refused where the URI is not valid, Unavailable where the
    cluster does not answer.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "local" and rest.startswith("/"):
        from tfcanary.adapters.local.folder import Folder

        return tuple(sorted(path.stem for path in Folder(Path(rest)).records.glob("*.json")))
    if separator and scheme == "kube":
        from tfcanary.adapters.kube.recorded_models import models_with_record
        from tfcanary.adapters.kubeclient.api import Api

        return models_with_record(Api(_namespace(uri, rest), patience=patience))
    raise Refused(f"platform {uri!r}: is no platform; use {PLATFORM_URIS}")


def records(uri: str, patience: float = PATIENCE) -> dict[str, Record | TfcanaryError]:
    """The record of each model of a platform, sorted by model; for one that cannot be read, why. A cluster is asked once for all of them.

    Raises what `models` raises.
    """
    if not uri.startswith("kube://"):
        return {model: _record_in_file(uri, model) for model in models(uri)}
    from tfcanary.adapters.kube.recorded_models import all_records
    from tfcanary.adapters.kubeclient.api import Api

    return dict(all_records(Api(_namespace(uri, uri.removeprefix("kube://")), patience=patience)))


def _record_in_file(uri: str, model: str) -> Record | TfcanaryError:
    try:
        stored = open_platform(uri, model, Plan()).records.read()
    except TfcanaryError as error:
        return error
    return stored.record if stored else Unavailable(f"{model}: its record was removed a moment ago")


def examine(uri: str, requirements: Requirements) -> Look:
    """Check whether a platform meets the requirements; each check is one evidence. Raises Refused where the URI is not valid, nothing else."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "local" and rest.startswith("/"):
        from tfcanary.adapters.local import doctor as machine
        from tfcanary.adapters.local.folder import Folder

        return machine.examine(Folder(Path(rest)), requirements)
    if separator and scheme == "kube":
        from tfcanary.adapters.kube import doctor as cluster

        return cluster.examine(uri, _namespace(uri, rest), requirements)
    raise Refused(f"platform {uri!r}: is no platform; use {PLATFORM_URIS}")


def own_image(uri: str) -> str:
    """Return the image of the step that this process runs in, as its pod says; raises Refused where it is no step on a cluster."""
    from tfcanary.adapters.kube.guards import own_image as image_of_pod
    from tfcanary.adapters.kubeclient.api import Api

    try:
        return image_of_pod(Api(_namespace(uri, uri.removeprefix("kube://"))))
    except Refused as error:
        raise Refused("image: is missing, and the image of this step cannot be read from its pod; name the image of the release") from error


def adopt(uri: str, model: str, deployment: str, number: int, plan: Plan, dry_run: bool) -> tuple[Change, ...]:
    """Take over a cluster's Deployment as the model's stable version, without restarting a pod.

    Returns the objects that change; with `dry_run` nothing is written. Raises Refused where the platform is no cluster.
    """
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
