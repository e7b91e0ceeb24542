"""The Router over Envoy: one route table in a file that Envoy watches; the platform of this machine binds it.

The route table names clusters, and the clusters name no server: the servers of a track change without the table, and the shares
change without the servers. Each entrance, REST and gRPC, has routes of its own, with the same shares. Envoy draws a track for each
request, so connections stay open.
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

from tfcanary.adapters.routing.atomic_files import write_aside, write_lock
from tfcanary.adapters.routing.entrances import one_traffic
from tfcanary.core.domain import Intent, Track, Traffic
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.fencing import admit
from tfcanary.core.plan import Entrance

TABLE = "split"
"""The name of the route table: one Envoy serves one model."""
TRACK_HEADER = "x-tfcanary-track"
"""A tester's request with this header goes to the track that the header names, at any weight."""
ORDER = (Entrance.GRPC, Entrance.REST)
"""The entrances in the order of their routes: REST's match everything."""
SHARED = (Track.CANARY, Track.STABLE, Track.BASELINE)
"""The tracks that have shares of users' requests."""
TIMEOUT = "30s"
"""The time limit of one request: TF Serving's own default for REST (`rest_api_timeout_in_ms`)."""
PATIENCE = 10.0
"""Seconds after which a table that is not in force never will be: it takes milliseconds, and half a second while Envoy is being restarted."""
WORKERS = 0.02
"""Seconds from the dump, which shows the main thread's table, until the worker threads have the table, too: measured below 5 ms."""
ADMIN_TIMEOUT = 2.0
"""Seconds for one answer of the admin page, which needs about one millisecond."""

Json = dict[str, Any]


def cluster(track: Track, entrance: Entrance) -> str:
    """Return the name of a track's cluster for an entrance: REST's speaks HTTP/1, gRPC's HTTP/2."""
    return track.value if entrance is Entrance.REST else f"{track.value}-{entrance.value}"


def route_table(traffic: Traffic, stamp: Intent | None = None) -> Json:
    """Return the document that Envoy watches, with the stamp of its writer as the document's version.

    Requests that name a track come before the shares.
    """
    # Servers of the preview track are for whoever sends the plan's preview header, which this router cannot route yet.
    pinned = [_pinned(track, entrance) for track in SHARED for entrance in ORDER]
    shared = [_shared(traffic, entrance) for entrance in ORDER]
    table = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": TABLE,
        # Without this Envoy accepts a table that names an unknown cluster, and answers the share of that cluster with 503.
        "validate_clusters": True,
        "virtual_hosts": [{"name": TABLE, "domains": ["*"], "routes": [*pinned, *shared]}],
    }
    return {**({"version_info": stamp.stamp()} if stamp else {}), "resources": [table]}


def _pinned(track: Track, entrance: Entrance) -> Json:
    header = {"name": TRACK_HEADER, "string_match": {"exact": track.value}}
    return {"match": {**_match(entrance), "headers": [header]}, "route": {"cluster": cluster(track, entrance), "timeout": TIMEOUT}}


def _shared(traffic: Traffic, entrance: Entrance) -> Json:
    weighted = [{"name": cluster(track, entrance), "weight": traffic.of(track)} for track in SHARED]
    return {"match": _match(entrance), "route": {"weighted_clusters": {"clusters": weighted}, "timeout": TIMEOUT}}


def _match(entrance: Entrance) -> Json:
    return {"prefix": "/", "grpc": {}} if entrance is Entrance.GRPC else {"prefix": "/"}


def shares_in_dump(dump: Mapping[str, Any]) -> Mapping[Entrance, Traffic]:
    """Return the traffic of each entrance in Envoy's `/config_dump`; none where no table is in force, or the table is not one of ours."""
    tables = [c for c in dump.get("configs", ()) if c.get("@type", "").endswith("envoy.admin.v3.RoutesConfigDump")]
    dynamic = [table for one in tables for table in one.get("dynamic_route_configs", ())]
    return _shares_in(dynamic[0].get("route_config")) if dynamic else {}


def _shares_in(table: Any) -> Mapping[Entrance, Traffic]:
    """The traffic of each entrance in a route configuration; none where its last routes are not those with the shares."""
    try:
        routes = table["virtual_hosts"][0]["routes"]
        return {entrance: _traffic_of(route, entrance) for entrance, route in zip(ORDER, routes[-len(ORDER) :], strict=True)}
    except (LookupError, TypeError, ValueError):
        return {}


def _traffic_of(route: Json, entrance: Entrance) -> Traffic:
    weighted = {one["name"]: one.get("weight", 0) for one in route["route"]["weighted_clusters"]["clusters"]}
    canary, baseline = (weighted[cluster(track, entrance)] for track in (Track.CANARY, Track.BASELINE))
    return Traffic(canary=canary, baseline=baseline)


def ask_admin(admin: str, path: str, method: str = "GET") -> bytes:
    """Ask Envoy's admin page at `host:port` one question; raises Unavailable where the page does not answer 200."""
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


def refuse_unsupported(traffic: Traffic) -> None:
    """Raises Refused, naming the ability, for traffic that this router cannot route."""
    for ability, wanted in (("mirror requests", traffic.mirror > 0), ("route the plan's preview header", traffic.preview)):
        if wanted:
            raise Refused(f"the embedded platform's router, `envoy`: cannot {ability}")


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The file with the route table, written under a lock; table and stamp are one document, so both change together."""

    path: Path
    """The file that Envoy watches; an Envoy that is started again begins with it."""

    def read(self) -> tuple[Traffic | None, Intent | None]:
        """Return the traffic that was last written and the stamp of its writer, each None where the file does not say it.

        Shares that differ between the entrances are no traffic.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None, None
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be read ({error.strerror})") from error
        except ValueError:
            return None, None
        if not isinstance(document, dict):
            return None, None
        stamp = document.get("version_info")
        tables = document.get("resources") or [None]
        shares = {*_shares_in(tables[0]).values()}
        return shares.pop() if len(shares) == 1 else None, Intent.of_stamp(stamp if isinstance(stamp, str) else None)

    def write(self, traffic: Traffic, intent: Intent) -> Intent:
        """Write the table under this intent and return the stamp that it carries now.

        Raises Conflict where a newer intent has written already, unless this write only lowers the canary's traffic and comes from the
        same release (`core.fencing`). Raises Unavailable where the file cannot be written.
        """
        with write_lock(self.path):
            before, stamp = self.read()
            lowering = traffic == Traffic() or (before is not None and traffic.lowers(before))
            after = admit(stamp, intent, str(self.path), lowering)
            self._replace(traffic, after)
            return after

    def reset(self, intent: Intent | None) -> None:
        """All requests to the stable track, whoever wrote before; the table keeps its stamp where that is newer than `intent`."""
        with write_lock(self.path):
            stamps = [stamp for stamp in (self.read()[1], intent) if stamp is not None]
            self._replace(Traffic(), max(stamps, key=lambda stamp: stamp.number, default=None))

    def _replace(self, traffic: Traffic, stamp: Intent | None) -> None:
        try:
            write_aside(self.path, json.dumps(route_table(traffic, stamp)))
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be written ({error.strerror})") from error


@dataclass(frozen=True, slots=True)
class EnvoyRouter:
    """A Router that writes the route table and reads back what Envoy has made of it."""

    table: RouteTable
    admin: Callable[[], str | None]
    """host:port of the admin page of the Envoy that runs at this moment; None where none runs."""
    users: Callable[[], str]
    """The address of users' requests."""

    def address(self) -> str:
        """Return the address of users' requests, for example http://127.0.0.1:8600."""
        return self.users()

    def traffic(self) -> Traffic:
        """Return the traffic in force, from Envoy's own dump; waits where Envoy is just being restarted, and raises Unavailable where it is not.

        Raises Diverted where the shares of the entrances differ.
        """
        deadline, name = time.monotonic() + PATIENCE, f"Envoy in front of {self.table.path.parent.parent.name}"
        while not (shares := self._in_force()):
            if time.monotonic() > deadline:
                raise Unavailable(f"{name} does not say which traffic is in force")
            _pause()
        return one_traffic(shares, name)

    def stamp(self) -> Intent | None:
        """Return the intent of the last write to the table; None where it carries none."""
        return self.table.read()[1]

    def set_traffic(self, traffic: Traffic, intent: Intent) -> None:
        """Write the table and return once it is in force. Without a table there is no route, so nothing is done for weight 0.

        Raises Conflict where a newer intent has written before or meanwhile, Unavailable where the table is not in force in time, Refused
        for what this router cannot route.
        """
        refuse_unsupported(traffic)
        if traffic == Traffic() and not self.table.path.parent.is_dir():
            return
        self.await_in_force(traffic, self.table.write(traffic, intent))

    def await_in_force(self, traffic: Traffic, stamp: Intent) -> None:
        """Return once Envoy's workers do what was written to the table with this stamp; raises Conflict and Unavailable as `set_traffic` does."""
        deadline = time.monotonic() + PATIENCE
        while {*(shares := self._in_force()).values()} != {traffic}:
            self._check_own(stamp, traffic)
            if time.monotonic() > deadline:
                return self._give_up(traffic, shares)
            _pause()
        time.sleep(WORKERS)

    def _check_own(self, stamp: Intent, traffic: Traffic) -> None:
        """Raises Conflict where somebody else has written the table since: what is waited for will not come into force."""
        written, newest = self.table.read()
        if newest is not None and newest != stamp and written != traffic:
            raise Conflict(f"{self.table.path}: release {newest.run_id!r} wrote intent {newest.number} there, after {stamp.stamp()!r}")

    def _give_up(self, traffic: Traffic, shares: Mapping[Entrance, Traffic]) -> None:
        """Raises Unavailable, unless no Envoy runs and the weight is 0: nobody reaches the canary then, and the next Envoy begins with the table."""
        if traffic == Traffic() and self.admin() is None:
            return
        in_force = " and ".join(sorted({str(one) for one in shares.values()}))
        answer = f"still shows {in_force}" if in_force else "does not answer"
        raise Unavailable(f"traffic {traffic} was written to {self.table.path}, but Envoy {answer} after {PATIENCE:.0f} s")

    def _in_force(self) -> Mapping[Entrance, Traffic]:
        admin = self.admin()
        try:
            return shares_in_dump(json.loads(ask_admin(admin, "/config_dump"))) if admin else {}
        except Unavailable:
            return {}


def _pause() -> None:
    time.sleep(random.uniform(0.002, 0.01))
