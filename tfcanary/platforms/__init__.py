"""Platforms: the ports bound to a cluster or to this machine. Components and the CLI open one here, and know no more."""

from __future__ import annotations

from pathlib import Path

from tfcanary.errors import Refused
from tfcanary.plan import Plan
from tfcanary.ports import Platform

FORMS = "local:///<state folder>, for example local:///srv/tfcanary, or kube://<namespace>"


def open_platform(uri: str, model: str, plan: Plan) -> Platform:
    """The platform that a URI names, bound to one model; asks nothing of it yet. Raises Refused where the URI or the name is none."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "local":
        return _local(uri, rest, model, plan)
    if separator and scheme == "kube":
        raise Refused(f"platform {uri!r}: clusters are not built yet; use local:///<state folder>")
    raise Refused(f"platform {uri!r}: is no platform; use {FORMS}")


def _local(uri: str, path: str, model: str, plan: Plan) -> Platform:
    from tfcanary.platforms.local.folder import Folder
    from tfcanary.platforms.local.platform import open_local

    if not path.startswith("/"):
        raise Refused(f"platform {uri!r}: the state folder must be absolute; use local:///{path.lstrip('./') or 'srv/tfcanary'}")
    return open_local(Folder(Path(path)), model, plan)
