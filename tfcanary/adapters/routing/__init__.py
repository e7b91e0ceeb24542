"""Routers: who divides the requests between the tracks."""

from tfcanary.adapters.routing.cluster import ClusterRouter, open_router
from tfcanary.adapters.routing.istio import MESH
from tfcanary.adapters.routing.objects import placed

__all__ = ["MESH", "ClusterRouter", "open_router", "placed"]
