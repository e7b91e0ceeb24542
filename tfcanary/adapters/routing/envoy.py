"""The Router over Envoy: one route table in a file that Envoy watches; bound by the platform of this machine.

The table names clusters, and the clusters name no server: which version a track's requests go to changes without
the table, and the weight changes without the servers. Envoy draws for each request, so connections stay open.
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

from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.core.domain import Track, TrafficSplit
from tfcanary.core.errors import Unavailable

TABLE = "split"
"""The name of the route table: one Envoy serves one model."""
TRACK_HEADER = "x-tfcanary-track"
"""A tester's request with this header goes to the track it names, at any weight."""
TIMEOUT = "30s"
"""Of one request: TF Serving's own default for REST (`rest_api_timeout_in_ms`)."""
PATIENCE = 10.0
"""Seconds after which a table that is not in force never will be: it takes milliseconds, and half a second while Envoy is being restarted."""
WORKERS = 0.02
"""Seconds from the dump, which shows the main thread's table, until the worker threads have it, too: measured below 5 ms."""
ADMIN_TIMEOUT = 2.0
"""Seconds for one answer of the admin page, which needs about one millisecond."""

Json = dict[str, Any]


def clusters(track: Track) -> tuple[str, str]:
    """The names of a track's clusters: for REST (HTTP/1) and for gRPC (HTTP/2)."""
    return track.value, f"{track.value}-grpc"


def route_table(split: TrafficSplit) -> Json:
    """The document that Envoy watches: requests that name a track come before the split, and gRPC before REST, which matches everything."""
    pinned = [_pinned(track, grpc) for track in Track for grpc in (True, False)]
    table = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": TABLE,
        # Without it Envoy accepts a table that names an unknown cluster, and answers its share with 503.
        "validate_clusters": True,
        "virtual_hosts": [{"name": TABLE, "domains": ["*"], "routes": [*pinned, _divided(split, grpc=True), _divided(split, grpc=False)]}],
    }
    return {"resources": [table]}


def _pinned(track: Track, grpc: bool) -> Json:
    header = {"name": TRACK_HEADER, "string_match": {"exact": track.value}}
    return {"match": {**_match(grpc), "headers": [header]}, "route": {"cluster": clusters(track)[grpc], "timeout": TIMEOUT}}


def _divided(split: TrafficSplit, grpc: bool) -> Json:
    weighted = [{"name": clusters(track)[grpc], "weight": split.of(track)} for track in Track]
    return {"match": _match(grpc), "route": {"weighted_clusters": {"clusters": weighted}, "timeout": TIMEOUT}}


def _match(grpc: bool) -> Json:
    return {"prefix": "/", "grpc": {}} if grpc else {"prefix": "/"}


def split_in(dump: Mapping[str, Any]) -> TrafficSplit | None:
    """The split of Envoy's `/config_dump`; None where no table is in force."""
    tables = [c for c in dump.get("configs", ()) if c.get("@type", "").endswith("envoy.admin.v3.RoutesConfigDump")]
    dynamic = [table for one in tables for table in one.get("dynamic_route_configs", ())]
    if not dynamic:
        return None
    last = dynamic[0]["route_config"]["virtual_hosts"][0]["routes"][-1]
    weights = {c["name"]: c.get("weight", 0) for c in last["route"]["weighted_clusters"]["clusters"]}
    return TrafficSplit(canary=weights[clusters(Track.CANARY)[0]])


def ask_admin(admin: str, path: str, method: str = "GET") -> bytes:
    """One question to Envoy's admin page at `host:port`; raises Unavailable where it does not answer 200."""
    connection = http.client.HTTPConnection(admin, timeout=ADMIN_TIMEOUT)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"Envoy's admin page at {admin} does not answer {path} ({error})") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Unavailable(f"Envoy's admin page at {admin} answered {path} with {answer.status}")
    return body


@dataclass(frozen=True, slots=True)
class EnvoyRouter:
    """A Router that writes the table and reads back what Envoy has made of it."""

    table: Path
    """The file that Envoy watches; an Envoy that is started again begins with it."""
    admin: Callable[[], str | None]
    """host:port of the admin page of the Envoy that runs at this moment; None where none does."""
    users: Callable[[], str]
    """Where users' requests go."""

    def address(self) -> str:
        """Where users' requests go, for example http://127.0.0.1:8600."""
        return self.users()

    def split(self) -> TrafficSplit:
        """What Envoy's workers do, from its own dump; waits where Envoy is just being restarted. Raises Unavailable where it is not."""
        deadline = time.monotonic() + PATIENCE
        while (seen := self._in_force()) is None:
            if time.monotonic() > deadline:
                raise Unavailable(f"Envoy in front of {self.table.parent.parent.name} does not say which split is in force")
            _pause()
        return seen

    def set_split(self, split: TrafficSplit) -> None:
        """Write the table and return once it is in force; raises Unavailable where it is not in time."""
        self._write(split)
        deadline = time.monotonic() + PATIENCE
        while (seen := self._in_force()) != split:
            if time.monotonic() > deadline:
                return self._gave_up(split, seen)
            _pause()
        time.sleep(WORKERS)

    def _write(self, split: TrafficSplit) -> None:
        try:
            write_aside(self.table, json.dumps(route_table(split)))
        except OSError as error:
            raise Unavailable(f"{self.table}: cannot be written ({error.strerror})") from error

    def _gave_up(self, asked: TrafficSplit, seen: TrafficSplit | None) -> None:
        """Where no Envoy runs, nobody gets to the canary, and the next Envoy begins with the table: weight 0 is in force."""
        if asked.canary == 0 and self.admin() is None:
            return
        shown = f"still shows {seen.canary} %" if seen else "does not answer"
        raise Unavailable(f"weight {asked.canary} was written to {self.table}, but Envoy {shown} after {PATIENCE:.0f} s")

    def _in_force(self) -> TrafficSplit | None:
        admin = self.admin()
        try:
            return split_in(json.loads(ask_admin(admin, "/config_dump"))) if admin else None
        except Unavailable:
            return None


def _pause() -> None:
    time.sleep(random.uniform(0.002, 0.01))
