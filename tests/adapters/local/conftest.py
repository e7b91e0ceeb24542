"""The platform on this machine, for real: supervisor, Envoy and servers; the servers are small ones that start at once."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tfcanary import __version__
from tfcanary.adapters import local, open_platform
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.program import Program
from tfcanary.adapters.local.supervisor_client import ask, is_up
from tfcanary.core.domain import Intent, ModelVersion, Pool, Role, RunningPool, Track, Traffic
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release

STAND_IN = Program(
    server="tests.adapters.local.standin",
    preload=("tests.adapters.local.preloaded",),
    guard="tests.adapters.local.standin_guard",
)


LAST = Intent("last", 10**9)
"""Newer than the intents of all tests."""


def free_port() -> int:
    """A port that is free, and so are the next ones, most likely: far from where the kernel takes its own, and from another worker's."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    for port in range(21000 + 2500 * worker, 23000 + 2500 * worker, 20):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + os.getpid() % 20))
            except OSError:
                continue
            return port + os.getpid() % 20
    raise AssertionError("no free port")


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for what must happen; how long it takes does not matter."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process runs; who has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@dataclass
class Place:
    """A platform in a folder of its own, with versions that say 1, 2, ..."""

    folder: Folder
    port: int
    program: Program = STAND_IN
    model: str = "m"
    supervisor: int = 0
    forks: int = 0
    """Processes, as last seen."""
    pids: set[int] = field(default_factory=set)
    """Every process that was ever seen below its supervisors."""
    intents: Iterator[int] = field(default_factory=lambda: count(1))

    def up(self, port: int | None = None) -> None:
        local.start(self.folder, port or self.port, self.program)

    def bound(self, model: str = "") -> Platform:
        return open_platform(self.folder.uri, model or self.model, Plan())

    def shown(self) -> dict[str, Any]:
        everything: dict[str, Any] = ask(self.folder, "status")
        self.supervisor, self.forks = everything["pid"], everything["forks"]["pid"]
        self.pids |= {self.supervisor, self.forks} | pids_of(everything["models"].values())
        return everything["models"].get(self.model, {})

    def server(self, number: int, role: Role = Role.SERVING) -> dict[str, Any]:
        return next((one for one in self.shown()["servers"] if (one["version"], one["role"]) == (number, role)), {})

    def version(self, number: int, *behaviour: str, model: str = "") -> ModelVersion:
        path = self.folder.models / (model or self.model) / str(number)
        path.mkdir(parents=True, exist_ok=True)
        for name in behaviour:
            (path / name).touch()
        return ModelVersion(number=number, uri=str(path), digest="sha256:" + "0" * 64)

    def intent(self) -> Intent:
        """A newer intent than any before."""
        return Intent("run-1", next(self.intents))

    def deploy(self, number: int, role: Role = Role.SERVING, least: int = 1) -> None:
        """Deploy a pool and wait until it is available."""
        bound = self.bound()
        bound.deployer.deploy(RunningPool(self.version(number), role, least), self.intent())
        until(lambda: available(bound, number, role))

    def assign(self, track: Track, number: int | None, role: Role = Role.SERVING) -> None:
        self.bound().deployer.assign(track, Pool(number, role) if number else None, self.intent())

    def remove(self, number: int, role: Role = Role.SERVING) -> None:
        self.bound().deployer.remove(Pool(number, role), self.intent())

    def set_traffic(self, canary: int, baseline: int = 0) -> None:
        self.bound().router.set_traffic(Traffic(canary=canary, baseline=baseline), self.intent())

    def serve(self, stable: int = 1, canary: int | None = None) -> Platform:
        """Versions deployed, available and assigned."""
        for track, number in ((Track.STABLE, stable), (Track.CANARY, canary)):
            if number:
                self.deploy(number)
                self.assign(track, number)
        self.shown()
        return self.bound()

    def remember(self, stable: int | None, release: Release | None = None) -> None:
        """Write the model's record."""
        records = self.bound().records
        stored = records.read()
        record = Record(model=self.model, writer=__version__, stable=self.version(stable) if stable else None, release=release)
        records.swap(record, stored.generation if stored else 0)

    def all_gone(self) -> bool:
        return not any(lives(pid) for pid in self.pids)


def pids_of(models: Any) -> set[int]:
    kept = [one for model in models for one in (model["proxy"], *model["servers"], *model["guards"])]
    return {one["pid"] for one in kept if one["pid"]}


def available(bound: Platform, number: int, role: Role = Role.SERVING) -> bool:
    pool = Pool(number, role)
    servers = bound.deployer.observe(pool).servers.get(pool, ())
    return bool(servers) and all(server.available for server in servers)


def a_release(run_id: str, **changed: Any) -> Release:
    given: dict[str, Any] = {"plan": Plan(), "plan_digest": "sha256:0", "began": datetime.now(UTC)} | changed
    return Release(run_id=run_id, **given)


def ended(place: Place) -> None:
    """Down, with every process gone that was ever seen."""
    if is_up(place.folder):
        place.shown()
    local.down(place.folder.root)
    until(place.all_gone)


def kill_supervisor(place: Place) -> None:
    """As the kernel does when memory is short."""
    place.shown()
    os.kill(place.supervisor, signal.SIGKILL)
    until(lambda: not is_up(place.folder))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Place]:
    """A folder in which nothing is up yet; whatever comes up is down at the end."""
    place = Place(Folder(tmp_path / "state"), free_port())
    yield place
    ended(place)


@pytest.fixture
def place(empty: Place) -> Place:
    """Up, with nothing deployed."""
    empty.up()
    return empty


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Up for all tests of a file."""
    place = Place(Folder(tmp_path_factory.mktemp("shared") / "state"), free_port())
    place.up()
    yield place
    ended(place)


@pytest.fixture
def model(shared: Place, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A model of its own on the shared platform."""
    digits = hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    place = replace(shared, model=f"m-{digits}")
    yield place
    for track in Track:
        place.bound().deployer.assign(track, None, LAST)
    for pool in place.bound().deployer.observe().servers:
        place.bound().deployer.remove(pool, LAST)
