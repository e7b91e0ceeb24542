"""The ports in memory: real objects that behave, on one clock. Traffic flows while the clock sleeps.

`World` is a model behind a router: each server answers, fails and takes its time as its `Behaviour` says, and counts
like a TF Serving process. Stable and canary always differ.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from tests.fake_storage import FakeStorage
from tests.process import Behaviour, Process
from tfcanary.core.domain import ModelVersion, Prediction, Request, Sample, Track, TrafficSplit
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.plan import NotifyPlan
from tfcanary.core.ports import Change, Deployment, Notice, Platform, Server, Stored
from tfcanary.core.record import Record

STABLE = Behaviour(answer=1.0)
"""How the version behaves that serves before a release."""


class FakeClock:
    """Time that passes only in `sleep`; whoever registered is called for each sleep."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.on_sleep: list[Callable[[float], None]] = []

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        for call in tuple(self.on_sleep):
            call(seconds)


class FakeRecords:
    """One record, compare and swap."""

    def __init__(self) -> None:
        self.stored: Stored | None = None
        self.writes = 0
        self._lock = threading.Lock()

    def read(self) -> Stored | None:
        return self.stored

    def swap(self, record: Record, generation: int) -> int:
        with self._lock:
            there = self.stored.generation if self.stored else 0
            if there != generation:
                raise Conflict(f"{record.model}: the record is generation {there}")
            self.writes += 1
            self.stored = Stored(record, there + 1)
            return there + 1

    def beat(self, run_id: str, at: datetime) -> Stored:
        if self.stored is None or self.stored.record.release is None:
            raise Refused("there is no record to note the guard in")
        release = self.stored.record.release
        if release.run_id == run_id:
            self.stored = Stored(replace(self.stored.record, release=replace(release, guard_seen=at)), self.stored.generation)
        return self.stored


class World:
    """Servers, a router and users: what the ports speak about."""

    def __init__(self, rate: float = 100.0, seed: int = 1) -> None:
        self.clock = FakeClock()
        self.clock.on_sleep.append(self.flow)
        self.storage = FakeStorage()
        self.stable_storage: FakeStorage | None = None
        self.records = FakeRecords()
        self.behaviours: dict[int, Behaviour] = {}
        self.processes: dict[int, Process] = {}
        self.tracks: dict[Track, int] = {}
        self.weight = 0
        self.rate = rate
        self.chance = random.Random(seed)
        self.scraped = True
        self.capacities: list[tuple[int, Track]] = []
        """Which version was started, or made larger, for the size of which track."""
        self.guards: list[str] = []
        self.guard_reports = True
        self.unserved = 0
        """Users' requests that found no server: must stay 0."""
        self.weights: list[int] = []
        """Every weight that was set."""
        self.objections: list[str] = []
        """What the platform says against a release before it begins."""
        self.notices = FakeNotices(self)
        self.log: list[Request] = []
        self.answered: dict[Track, list[Any]] = {}
        """Arrow record batches that the servers recorded."""
        self.answered_at: dict[Track, list[tuple[datetime, Any]]] = {}
        """The same with their instants, where windows matter."""

    def flow(self, seconds: float) -> None:
        """Users' requests of that many seconds, split by weight."""
        total = round(self.rate * seconds) if self.tracks else 0
        to_canary = sum(self.chance.random() * 100 < self.weight for _ in range(total))
        for track, requests in ((Track.CANARY, to_canary), (Track.STABLE, total - to_canary)):
            process = self.processes.get(self.tracks.get(track, -1))
            if process is None:
                self.unserved += requests
            elif not process.behaviour.silent:
                process.serve(requests, self.chance)

    def platform(self, model: str = "digits") -> Platform:
        """The ports over this world."""
        return Platform(
            uri="fake://",
            model=model,
            storage=self.storage,
            bucket_uri="fake://bucket",
            stable_storage=self.stable_storage,
            deployer=_Deployer(self),
            router=_Router(self),
            metrics=_Metrics(self),
            predictor=_Predictor(self),
            log=_Log(self),
            records=self.records,
            guards=_Guards(self),
            preflight=_Preflight(self),
            notices=self.notices,
            clock=self.clock,
        )

    def has_stable(self, number: int = 1, behaviour: Behaviour = STABLE) -> ModelVersion:
        """Begin with a stable version that serves."""
        from tfcanary import __version__

        version = ModelVersion(number, f"fake://bucket/digits/{number}", f"sha256:{number:064x}")
        self.behaviours[number] = behaviour
        self.processes[number] = Process(behaviour)
        self.tracks[Track.STABLE] = number
        self.records.stored = Stored(Record(model="digits", writer=__version__, stable=version), 1)
        return version


@dataclass
class _Deployer:
    world: World

    def deploy(self, version: ModelVersion, capacity: Track = Track.CANARY) -> None:
        self.world.capacities.append((version.number, capacity))
        behaviour = self.world.behaviours.get(version.number, Behaviour(answer=float(version.number)))
        self.world.processes.setdefault(version.number, Process(behaviour))

    def assign(self, track: Track, number: int | None) -> None:
        if number is None:
            self.world.tracks.pop(track, None)
        else:
            self.world.tracks[track] = number

    def remove(self, number: int) -> None:
        if number in self.world.tracks.values():
            raise Refused(f"version {number}: a track points at it")
        self.world.processes.pop(number, None)

    def observe(self, number: int | None = None) -> Deployment:
        def server(number: int, process: Process) -> tuple[Server, ...]:
            fine = process.behaviour.loads
            return (Server(f"v{number}", "", "", available=fine, failed=not fine, message="" if fine else "the load ended in an error"),)

        return Deployment({n: server(n, p) for n, p in self.world.processes.items()}, dict(self.world.tracks))


@dataclass
class _Router:
    world: World

    def split(self) -> TrafficSplit:
        return TrafficSplit(self.world.weight)

    def set_split(self, split: TrafficSplit) -> None:
        self.world.weight = split.canary
        self.world.weights.append(split.canary)

    def address(self) -> str:
        return "fake://users"


@dataclass
class _Metrics:
    world: World

    def sample(self, track: Track, at: datetime) -> Sample:
        if not self.world.scraped:
            raise Unavailable("the metric source does not answer")
        number = self.world.tracks.get(track)
        if number is None or number not in self.world.processes:
            return Sample(track, up=False)
        return Sample(track, up=True, servers={f"v{number}": self.world.processes[number].counters()})

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        return iter(())


@dataclass
class _Predictor:
    world: World

    def predict(self, track: Track, request: Request) -> Prediction:
        process = self.world.processes.get(self.world.tracks.get(track, -1))
        if process is None:
            raise Unavailable(f"no server on track {track}")
        self.world.clock.sleep(process.behaviour.seconds)
        if self.world.chance.random() < process.behaviour.errors:
            return Prediction(500, {"error": "it broke"}, process.behaviour.seconds)
        return Prediction(200, {"predictions": [[process.behaviour.answer, 1 - process.behaviour.answer]]}, process.behaviour.seconds)


@dataclass
class _Log:
    world: World

    def requests(self, limit: int) -> Iterator[Request]:
        return iter(self.world.log[:limit])

    def answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        timed = (batch for at, batch in self.world.answered_at.get(track, ()) if since <= at < until)
        return chain(self.world.answered.get(track, ()), timed)


@dataclass
class _Guards:
    world: World

    def start(self, run_id: str) -> None:
        """The guard reports at every sleep of the clock, unless the test says that it is dead."""
        if run_id in self.world.guards:
            return
        self.world.guards.append(run_id)
        self.world.clock.on_sleep.append(lambda _: self._beat(run_id))

    def stop(self, run_id: str) -> None:
        if run_id in self.world.guards:
            self.world.guards.remove(run_id)

    def _beat(self, run_id: str) -> None:
        if self.world.guard_reports and run_id in self.world.guards:
            self.world.records.beat(run_id, self.world.clock.now())


@dataclass
class _Preflight:
    world: World

    def check(self, record: Record) -> None:
        for objection in self.world.objections:
            raise Refused(objection)

    def changes(self, version: ModelVersion) -> Iterator[Change]:
        yield Change(f"version {version.number}", None, {"uri": version.uri})


@dataclass
class FakeNotices:
    """Receivers that remember what the world was like when they were told."""

    world: World
    told: list[tuple[Notice, NotifyPlan]] = field(default_factory=list)
    seen: list[tuple[int, Record]] = field(default_factory=list)
    """The weight in force and the record, at every try."""
    deaf: set[str] = field(default_factory=set)
    """Hosts that take nothing."""
    seconds: float = 0.0
    """How long a receiver lets us wait."""

    def send(self, notice: Notice, to: NotifyPlan) -> None:
        assert self.world.records.stored is not None
        self.seen.append((self.world.weight, self.world.records.stored.record))
        self.world.clock.sleep(self.seconds)
        if to.place in self.deaf:
            raise Unavailable(f"{to.place} did not take it")
        self.told.append((notice, to))
