"""Routers: who divides the requests between the tracks."""

from tfcanary.routing.cluster import ClusterRouter, open_router
from tfcanary.routing.istio import MESH
from tfcanary.routing.objects import placed

__all__ = ["MESH", "ClusterRouter", "open_router", "placed"]
