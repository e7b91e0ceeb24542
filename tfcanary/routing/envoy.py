"""The Router over Envoy: one route table in a file that Envoy watches; called by the platform of this machine.

The table names clusters, the clusters name no server: which version a track's requests go to changes without the
table, and the weight changes without the servers. Envoy draws for each request, so that connections stay open.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcanary.domain import Track, TrafficSplit
from tfcanary.errors import Unavailable
from tfcanary.routing.files import write_aside

TABLE = "split"
"""The name of the route table: one Envoy serves one model."""
TRACK_HEADER = "x-tfcanary-track"
"""A tester's request with this header goes to the track it names, at any weight."""
TIMEOUT = "30s"
"""Of one request: TF Serving's own default for REST (`rest_api_timeout_in_ms`)."""
PATIENCE = 10.0
"""Seconds until a table that is not in force never will be: it takes milliseconds, and half a second where Envoy is just being restarted."""
WORKERS = 0.02
"""Seconds from the dump, which shows the main thread's table, until the worker threads have it, too: measured below 5 ms."""


def clusters(track: Track) -> tuple[str, str]:
    """The names of a track's clusters: for REST (HTTP/1) and for gRPC (HTTP/2)."""
    return track.value, f"{track.value}-grpc"


def route_table(split: TrafficSplit) -> dict[str, Any]:
    """The document that Envoy watches: requests that name a track first, then the split; gRPC before REST, which matches everything."""
    rest, grpc = zip(*(clusters(track) for track in Track), strict=True)
    routes = [
        *(_pinned(track) | {"match": _match(track, grpc=True), "route": _to(clusters(track)[1])} for track in Track),
        *({"match": _match(track), "route": _to(clusters(track)[0])} for track in Track),
        {"match": _match(grpc=True), "route": _divided(grpc, split)},
        {"match": _match(), "route": _divided(rest, split)},
    ]
    table = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": TABLE,
        # Without it Envoy accepts a table that names an unknown cluster, and answers its share with 503.
        "validate_clusters": True,
        "virtual_hosts": [{"name": TABLE, "domains": ["*"], "routes": routes}],
    }
    return {"resources": [table]}
