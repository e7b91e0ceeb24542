"""The models of a namespace that have a record."""

from __future__ import annotations

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS

RECORDS = {object_names.MANAGED_BY: object_names.MANAGER, "app.kubernetes.io/component": "record"}
"""The labels by which the ConfigMaps of the records are found."""


def models_with_record(api: Api) -> tuple[str, ...]:
    """The models of the namespace, sorted. Raises Refused where the records may not be listed, Unavailable where the API server is away."""
    found = api.list(CONFIG_MAPS, RECORDS)
    return tuple(
        sorted(str(one["metadata"]["labels"][object_names.MODEL]) for one in found if object_names.MODEL in one["metadata"]["labels"])
    )
