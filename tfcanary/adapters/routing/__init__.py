"""Routers: who divides users' requests between the tracks."""

from tfcanary.adapters.routing.cluster_router import ClusterRouter
from tfcanary.adapters.routing.route_objects import placed
from tfcanary.adapters.routing.routers import known_routers, open_router, router_class

__all__ = ["ClusterRouter", "known_routers", "open_router", "placed", "router_class"]
