"""The entrances of a model: how a request tells that it is gRPC, the port of each entrance, and the one traffic that all of them carry."""

from __future__ import annotations

from collections.abc import Mapping

from tfcanary.adapters.kubeclient import object_names
from tfcanary.core.domain import Traffic
from tfcanary.core.errors import Diverted
from tfcanary.core.plan import Entrance

PORTS = {Entrance.REST: object_names.REST, Entrance.GRPC: object_names.GRPC}
"""The port of an entrance, in each pod and each Service."""
SERVICE_PORTS = (
    {"name": "rest", "port": PORTS[Entrance.REST], "targetPort": PORTS[Entrance.REST], "protocol": "TCP", "appProtocol": "http"},
    {
        "name": "grpc",
        "port": PORTS[Entrance.GRPC],
        "targetPort": PORTS[Entrance.GRPC],
        "protocol": "TCP",
        "appProtocol": "kubernetes.io/h2c",
    },
)
"""The ports of a Service over model servers, called like the entrances. `appProtocol` tells gateways and meshes to speak HTTP/2 to gRPC's."""
GRPC_PATHS = ("/tensorflow.serving.PredictionService/", "/tensorflow.serving.ModelService/")
"""How the paths of gRPC requests to TensorFlow Serving begin. Requests to any other path are REST's."""


def one_traffic(shares: Mapping[Entrance, Traffic], route: str) -> Traffic:
    """The traffic that every entrance of a route carries; `shares` has at least one, and `route` is the route's name for people.

    Raises Diverted, naming the share of each entrance, where they differ: all are written at once, so somebody else has changed one.
    """
    if len({*shares.values()}) > 1:
        listed = ", ".join(f"`{entrance.value}` {traffic}" for entrance, traffic in shares.items())
        raise Diverted(f"{route}: the canary's share differs between the entrances: {listed}")
    return next(iter(shares.values()))
