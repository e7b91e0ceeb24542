"""Routers: who divides the requests between the tracks."""

from tfcanary.routing.cluster import ClusterRouter, open_router

__all__ = ["ClusterRouter", "open_router"]
