"""The objects of other people's release controllers: which share the canary gets, and for KServe which servers are whose. Read only.

The share is read from the object's status, which says what the controller has set, never from its spec, which says what it was told.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary.adapters.kube.counters import pods_of
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.adapters.metrics.queries import Labels
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import MetricsPlan

ROLLOUTS = Resource("argoproj.io/v1alpha1", "rollouts", "Rollout", needs="Argo Rollouts")
CANARIES = Resource("flagger.app/v1beta1", "canaries", "Canary", needs="Flagger")
INFERENCE_SERVICES = Resource("serving.kserve.io/v1beta1", "inferenceservices", "InferenceService", needs="KServe")
NAME = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
URI = re.compile(rf"kube://({NAME})/(rollouts|canaries|inferenceservices)/({NAME})")
PATIENCE = 5.0
"""Seconds for which a question to the API server is tried again: a poll cannot wait longer."""

log = logging.getLogger("tfcanary.judge")


@dataclass(frozen=True, slots=True)
class InferenceTracks:
    """The two sides of an InferenceService that has a canary."""

    stable: str
    """The name of the Deployment whose pods serve the stable version."""
    canary: str
    """The name of the canary's Deployment."""
    release: str
    """The name of the canary's revision, or of the canary in `spec.canary`."""
    percent: int | None
    """The canary's share of the requests."""


def rollout_weight(found: Json) -> int | None:
    """The canary's share by a Rollout's status; None without a traffic router, when Argo divides by the number of pods."""
    return _percent(_at(found, "status", "canary", "weights", "canary", "weight"))


def canary_weight(found: Json) -> int | None:
    """The canary's share by the status of Flagger's Canary."""
    return _percent(_at(found, "status", "canaryWeight"))


def inference_weight(found: Json) -> int | None:
    """The canary's share by an InferenceService's status; None where it has no canary."""
    tracks = inference_tracks(found)
    return tracks.percent if tracks else None


def inference_tracks(found: Json) -> InferenceTracks | None:
    """The two sides of an InferenceService; None where it has no canary. Raises Refused where it has several.

    With Knative the sides are the two revisions of `status.components.predictor.traffic`; with plain Deployments they are the predictor
    and the canary of `status.canaryStatuses`.
    """
    name = str(_at(found, "metadata", "name") or "")
    canaries = _at(found, "status", "canaryStatuses") or ()
    if len(canaries) > 1:
        names = ", ".join(str(one.get("name")) for one in canaries)
        raise Refused(f"InferenceService {name}: has the canaries {names}: name the two that are compared by selectors")
    if canaries:
        canary, stable = str(canaries[0].get("name", "")), str(_at(found, "spec", "predictor", "name") or "")
        percent = _percent(canaries[0].get("trafficPercent"))
        return InferenceTracks(_predictor(name, stable), _predictor(name, canary), canary, percent)
    return _revisions(_at(found, "status", "components", "predictor", "traffic") or ())


def _revisions(traffic: Any) -> InferenceTracks | None:
    newest = [one for one in traffic if one.get("latestRevision")]
    others = {str(one["revisionName"]) for one in traffic if one.get("revisionName") and not one.get("latestRevision")}
    if not newest or not newest[0].get("revisionName"):
        return None
    canary = str(newest[0]["revisionName"])
    stable = sorted(others - {canary})
    if len(stable) != 1:
        return None
    percent = _percent(sum(int(one.get("percent") or 0) for one in newest))
    return InferenceTracks(f"{stable[0]}-deployment", f"{canary}-deployment", canary, percent)


def _predictor(service: str, name: str) -> str:
    return "-".join(part for part in (service, name, "predictor") if part)


WEIGHTS: Mapping[str, tuple[Resource, Callable[[Json], int | None]]] = {
    "rollouts": (ROLLOUTS, rollout_weight),
    "canaries": (CANARIES, canary_weight),
    "inferenceservices": (INFERENCE_SERVICES, inference_weight),
}
"""By the plural in a URI: the kind, and what reads the canary's share from an object of it."""


class ControllerObject:
    """One object of another controller; `weight` reads the canary's share from its status at each call."""

    def __init__(self, uri: str, patience: float = PATIENCE) -> None:
        """Nothing is asked yet. Raises Refused where the URI names no such object."""
        found = URI.fullmatch(uri)
        if found is None:
            raise Refused(f"split {uri!r}: must be kube://<namespace>/<rollouts, canaries or inferenceservices>/<name>")
        self.namespace, self.plural, self.name = found[1], found[2], found[3]
        self._resource, self._weight = WEIGHTS[self.plural]
        self._api = Api(self.namespace, patience=patience)

    def read(self) -> Json:
        """Return the object. Raises Refused where it does not exist or may not be read, Unavailable where the API server is away."""
        found = self._api.get(self._resource, self.name)
        if found is None:
            raise Refused(f"{self._resource.kind} {self.name} does not exist in namespace {self.namespace}")
        return found

    @property
    def has_tracks(self) -> bool:
        """Whether the object says which servers are whose, and not only how the requests are divided."""
        return self._resource is INFERENCE_SERVICES

    def tracks(self) -> InferenceTracks:
        """Return the two sides of the InferenceService. Raises Unavailable where it has no canary now, Refused where it has several."""
        found = inference_tracks(self.read())
        if found is None:
            raise Unavailable(f"InferenceService {self.name} in namespace {self.namespace}: its status shows no canary")
        return found

    def selectors(self, metrics: MetricsPlan) -> Mapping[Track, Labels]:
        """Return the labels of both sides' pods in Prometheus; raises as `tracks` does."""
        found = self.tracks()
        place = {metrics.namespace_label: self.namespace} if metrics.namespace_label else {}
        pods = {Track.STABLE: found.stable, Track.CANARY: found.canary}
        return {track: {**place, metrics.pod_label: pods_of(name)} for track, name in pods.items()}

    def weight(self) -> int | None:
        """Return the canary's share in percent; None where it is unknown, also where the object cannot be read now."""
        try:
            return self._weight(self.read())
        except (Refused, Unavailable) as error:
            log.warning("the canary's share is unknown: %s", error)
            return None


def _percent(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100 else None


def _at(found: Any, *path: str) -> Any:
    """What lies at a path of an object; None where a part of it is missing."""
    for part in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found
