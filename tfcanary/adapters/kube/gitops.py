"""The tools that sync objects from Git or from a chart and would put our fields back, and the lines that tell them not to.

The API server notes for each field which manager has set it (`metadata.managedFields`). A tool that owns one of our fields has either not
met tfcanary yet, or has taken the field back since: in both cases it must be told to leave the field alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.field_managers import managers_of
from tfcanary.adapters.kubeclient.resources import SERVICES
from tfcanary.adapters.routing.cluster_router import OwnedFields
from tfcanary.core.domain import COMPARED, Track


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that applies objects again and again."""

    name: str
    managers: tuple[str, ...]
    """The names of its field managers."""
    advice: Callable[[OwnedFields, str, Sequence[str]], str]
    """What to do, given the object, its namespace and the JSON pointers of the fields."""


def of_tracks(model: str) -> tuple[OwnedFields, ...]:
    """The fields of the tracks' Services that are ours."""
    return tuple(OwnedFields(SERVICES, object_names.service(model, track), ("/spec/selector",)) for track in (*COMPARED, Track.BASELINE))


def advices(api: Api, owned: Iterable[OwnedFields]) -> Iterator[str]:
    """A sentence for each object of which a tool owns fields of ours: the tool, and the lines that tell it to leave them alone."""
    for one in owned:
        found = api.get(one.resource, one.name)
        for tool in TOOLS if found else ():
            if paths := [path for path in one.paths if managers_of(found or {}, path) & {*tool.managers}]:
                what = f"{one.resource.kind} {one.name} in namespace {api.namespace}"
                yield f"{what}: {tool.name} owns {', '.join(paths)} and would put it back; {tool.advice(one, api.namespace, paths)}"


def _argo(one: OwnedFields, namespace: str, paths: Sequence[str]) -> str:
    group = f"group: {one.resource.group}, " if one.resource.group else ""
    line = f"{{{group}kind: {one.resource.kind}, name: {one.name}, namespace: {namespace}, jsonPointers: [{', '.join(paths)}]}}"
    return f"in its Application: `spec: {{ignoreDifferences: [{line}], syncPolicy: {{syncOptions: [RespectIgnoreDifferences=true]}}}}`"


def _flux(one: OwnedFields, namespace: str, paths: Sequence[str]) -> str:
    return "on the object in Git: `metadata: {annotations: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}}`"


def _flux_helm(one: OwnedFields, namespace: str, paths: Sequence[str]) -> str:
    target = f"target: {{kind: {one.resource.kind}, name: {one.name}}}"
    return f"in its HelmRelease: `spec: {{driftDetection: {{ignore: [{{paths: [{', '.join(paths)}], {target}}}]}}}}`"


def _helm(one: OwnedFields, namespace: str, paths: Sequence[str]) -> str:
    return "take the fields out of the chart, or do not upgrade it while a release runs"


def _kubectl(one: OwnedFields, namespace: str, paths: Sequence[str]) -> str:
    return "take the fields out of the file that is applied, or do not apply it while a release runs"


TOOLS = (
    Tool("Argo CD", ("argocd-controller", "argocd-application-controller"), _argo),
    Tool("Flux", ("kustomize-controller",), _flux),
    Tool("Flux's Helm controller", ("helm-controller",), _flux_helm),
    Tool("Helm", ("helm",), _helm),
    Tool("kubectl apply", ("kubectl", "kubectl-client-side-apply"), _kubectl),
)
