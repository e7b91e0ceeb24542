"""Routers, which divide users' requests between the tracks."""

from tfcanary.adapters.routing.cluster_router import ClusterRouter
from tfcanary.adapters.routing.route_objects import namespace_and_name
from tfcanary.adapters.routing.routers import known_routers, open_router, router_class

__all__ = ["ClusterRouter", "known_routers", "namespace_and_name", "open_router", "router_class"]
