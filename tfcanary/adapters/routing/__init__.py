"""Routers: who divides the requests between the tracks."""

from tfcanary.adapters.routing.istio import MESH
from tfcanary.adapters.routing.route_objects import placed
from tfcanary.adapters.routing.routers import ClusterRouter, open_router

__all__ = ["MESH", "ClusterRouter", "open_router", "placed"]
