"""The models of a namespace that have a record, and their records, in one call."""

from __future__ import annotations

from typing import Any

from tfcanary.adapters.kube.records import stored_record
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS
from tfcanary.core.errors import Refused
from tfcanary.core.record import Record

RECORDS = {object_names.MANAGED_BY: object_names.MANAGER, "app.kubernetes.io/component": "record"}
"""The labels by which the ConfigMaps of the records are found."""


def models_with_record(api: Api) -> tuple[str, ...]:
    """The models of the namespace, sorted. Raises Refused where the records may not be listed, Unavailable where the API server is away."""
    return tuple(sorted(_listed(api)))


def all_records(api: Api) -> dict[str, Record | Refused]:
    """The record of each model of the namespace, sorted by model; for one that cannot be decoded, why. Raises Refused and Unavailable."""
    return {model: _decoded(found, model, api.namespace) for model, found in sorted(_listed(api).items())}


def _listed(api: Api) -> dict[str, dict[str, Any]]:
    found = api.list(CONFIG_MAPS, RECORDS)
    return {str(one["metadata"]["labels"][object_names.MODEL]): one for one in found if object_names.MODEL in one["metadata"]["labels"]}


def _decoded(found: dict[str, Any], model: str, namespace: str) -> Record | Refused:
    try:
        return stored_record(found, model, namespace).record
    except Refused as error:
        return error
