"""The names of a model's objects, and the labels that say which model they belong to.

For a model `m`: a Deployment and a ConfigMap a version (`m-v42`), never renamed; Services `m-stable` and `m-canary`, each
selecting one version's pods; one route named `m`; the release record `tfcanary-m`; the guard `m-guard`.
"""

from __future__ import annotations

from tfcanary.core.domain import NAME, Track
from tfcanary.core.errors import Refused

MANAGER = "tfcanary"
"""Our field manager in server-side apply, and the value of the label that names an object's creator."""
MANAGED_BY = "app.kubernetes.io/managed-by"
MODEL = "tfcanary.dev/model"
VERSION = "tfcanary.dev/version"
"""A version's number, on its Deployment and on its pods."""
NOTHING = "none"
"""The version that a Service selects whose track points at no version: no pod has this label value."""
DIGEST = "tfcanary.dev/digest"
"""Annotation: the digest of the model that a Deployment serves."""
LONGEST = 63
"""Characters of a label's value, and of a name that becomes one, at most."""

GRPC, REST = 8500, 8501
"""TF Serving's ports, in each pod and each Service."""
METRICS = 9464
"""The port where guards, and steps that watch, export the metrics of a release."""
WATCHES = "tfcanary.dev/watches"
"""A label of the pods of steps that watch; other steps export no metrics."""


def check_model(model: str) -> str:
    """Return the model's name, which becomes part of objects' names. Raises Refused where Kubernetes would not accept it."""
    if not NAME.fullmatch(model):
        raise Refused(f"model {model!r}: must be at most 50 lower-case letters, digits and hyphens, with a letter or digit at both ends")
    if not model[0].isalpha():
        raise Refused(f"model {model!r}: must begin with a letter, for its Services are called {model}-stable and {model}-canary")
    return model


def version(model: str, number: int) -> str:
    """The name of a version's Deployment and ConfigMap. Raises Refused where it is too long."""
    name = f"{model}-v{number}"
    if len(name) > LONGEST:
        raise Refused(f"version {number} of {model}: {name!r} has {len(name)} characters, at most {LONGEST} fit; use a shorter model name")
    return name


def service(model: str, track: Track) -> str:
    """The name of a track's Service."""
    return f"{model}-{track.value}"


def record(model: str) -> str:
    """The name of the release record's ConfigMap."""
    return f"tfcanary-{model}"


def guard(model: str) -> str:
    """The name of the guard's Deployment."""
    return f"{model}-guard"


def labels(model: str, component: str) -> dict[str, str]:
    """The labels of every object of a model. `component` is `server` for model servers."""
    return {
        "app.kubernetes.io/name": "tensorflow-serving" if component == "server" else "tfcanary",
        "app.kubernetes.io/instance": model,
        "app.kubernetes.io/component": component,
        MANAGED_BY: MANAGER,
        MODEL: model,
    }


def selector(model: str, number: int | None) -> dict[str, str]:
    """The labels that select a version's pods; with None they select no pod."""
    return {MODEL: model, VERSION: NOTHING if number is None else str(number)}
