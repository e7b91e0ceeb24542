"""The names of a model's objects, and the labels and annotations that say whose they are.

For a model `m`: a Deployment and a ConfigMap for each pool (`m-v42`, `m-v42-baseline`), never renamed; a Service for each track
(`m-stable`, `m-canary`), which selects the pods of one pool; one route `m`; the release record `tfcanary-m`; the guard `m-guard`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfcanary.core.domain import NAME, Pool, Role, Track
from tfcanary.core.errors import Refused

MANAGER = "tfcanary"
"""Our field manager in server-side apply, and the value of the label that says who made an object."""
MANAGED_BY = "app.kubernetes.io/managed-by"
MODEL = "tfcanary.dev/model"
VERSION = "tfcanary.dev/version"
"""Label: a version's number, on its Deployments and on its pods."""
ROLE = "tfcanary.dev/role"
"""Label: what a pool is for. A Deployment without it is a serving pool: another tool made it, or an older tfcanary."""
NOTHING = "none"
"""The version that the Service of a track selects which points at nothing: no pod has it."""
DIGEST = "tfcanary.dev/digest"
"""Annotation: the identity of the bytes that a Deployment serves."""
INTENT = "tfcanary.dev/intent"
"""Annotation: the stamp of the last write of ours to an object (`core.fencing`)."""
LONGEST = 63
"""Characters of the longest value of a label, and so of a name that becomes one."""

GRPC, REST = 8500, 8501
"""TF Serving's ports, in each pod and each Service."""
METRICS = 9464
"""The port at which guards, and steps that watch, export what they know of a release."""
WATCHES = "tfcanary.dev/watches"
"""Label of the pods of steps that watch: no other step exports anything."""


def valid_model(model: str) -> str:
    """The model's name, which becomes part of objects' names; raises Refused where Kubernetes would not take it."""
    if not NAME.fullmatch(model):
        raise Refused(f"model {model!r}: must be at most 50 lower-case letters, digits and hyphens, with a letter or digit at both ends")
    if not model[0].isalpha():
        raise Refused(f"model {model!r}: must begin with a letter, for its Services are called {model}-stable and {model}-canary")
    return model


def deployment(model: str, pool: Pool) -> str:
    """The name of a pool's Deployment, with which its ConfigMap's begins. Raises Refused where the name is too long."""
    name = f"{model}-v{pool.number}" + ("" if pool.role is Role.SERVING else f"-{pool.role.value}")
    if len(name) > LONGEST:
        raise Refused(f"{pool} of {model}: {name!r} has {len(name)} characters, at most {LONGEST} fit; use a shorter model name")
    return name


def service(model: str, track: Track) -> str:
    """The name of a track's Service."""
    return f"{model}-{track.value}"


def record(model: str) -> str:
    """The name of the record's ConfigMap."""
    return f"tfcanary-{model}"


def guard(model: str) -> str:
    """The name of the guard's Deployment."""
    return f"{model}-guard"


def labels(model: str, component: str) -> dict[str, str]:
    """The labels of every object of a model, which say whose it is and what part it plays."""
    return {
        "app.kubernetes.io/name": "tensorflow-serving" if component == "server" else "tfcanary",
        "app.kubernetes.io/instance": model,
        "app.kubernetes.io/component": component,
        MANAGED_BY: MANAGER,
        MODEL: model,
    }


def selector(model: str, pool: Pool | None) -> dict[str, str]:
    """The labels by which a pool's pods are selected; of None: of no pods."""
    if pool is None:
        return {MODEL: model, VERSION: NOTHING}
    return {MODEL: model, VERSION: str(pool.number), ROLE: pool.role.value}


def pool_of(labels: Mapping[str, str]) -> Pool | None:
    """The pool that labels, or the labels of a selector, name; None where they name none."""
    number, role = labels.get(VERSION, ""), labels.get(ROLE, Role.SERVING.value)
    return Pool(int(number), Role(role)) if number.isdecimal() and role in [*Role] else None
