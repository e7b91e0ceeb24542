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
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

from google_crc32c import Checksum

from tfcanary import codec
from tfcanary.acts import ledger
from tfcanary.domain import LATENCY_BOUNDS, Counters, ModelVersion, Prediction, Request, Sample, Track, TrafficSplit
from tfcanary.errors import Conflict, Held, Refused, Unavailable
from tfcanary.plan import NotifyPlan, Plan
from tfcanary.ports import Blob, Change, Deployment, Notice, Platform, Server, Stored
from tfcanary.record import Record, State
from tfcanary.submit import Submission


@dataclass(frozen=True)
class Behaviour:
    """How a version behaves."""

    answer: float = 0.0
    """What it predicts: differs from version to version."""
    errors: float = 0.001
    """Share of requests that fail."""
    seconds: float = 0.010
    """Median latency."""
    loads: bool = True
    """Whether it ever becomes AVAILABLE."""
    silent: bool = False
    """Its requests are lost on the way."""


@dataclass
class Process:
    """A model server that counts."""

    behaviour: Behaviour
    ok: float = 0.0
    failed: float = 0.0
    latency: list[float] = field(default_factory=lambda: [0.0] * (len(LATENCY_BOUNDS) + 1))

    def counters(self) -> Counters:
        errors = {"INTERNAL": self.failed} if self.failed else {}
        return Counters(ok=self.ok, errors=errors, latency=tuple(self.latency))

    def serve(self, requests: int, chance: random.Random) -> None:
        for _ in range(requests):
            if chance.random() < self.behaviour.errors:
                self.failed += 1
                continue
            self.ok += 1
            microseconds = self.behaviour.seconds * 1e6 * chance.lognormvariate(0, 0.4)
            for i, bound in enumerate((*LATENCY_BOUNDS, float("inf"))):
                self.latency[i] += microseconds < bound


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


class FakeStorage:
    """Objects in a dictionary, with generations and preconditions."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.generation = 0

    def _blob(self, name: str) -> Blob:
        content, generation = self.objects[name]
        return Blob(name, len(content), generation, f"crc32c:{int.from_bytes(Checksum(content).digest()):08x}")

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        return tuple(self._blob(name) for name in sorted(self.objects) if name.startswith(prefix))

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
        if name not in self.objects:
            raise Refused(f"{name}: is missing")
        blob = self._blob(name)
        if generation not in (None, blob.generation):
            raise Conflict(f"{name}: is generation {blob.generation}")
        into.write(self.objects[name][0])
        return blob

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Blob:
        there = self.objects[name][1] if name in self.objects else 0
        if if_generation not in (None, there):
            raise Conflict(f"{name}: is generation {there}")
        self.generation += 1
        self.objects[name] = (content if isinstance(content, bytes) else content.read_bytes(), self.generation)
        return self._blob(name)

    def delete(self, name: str, if_generation: int | None = None) -> None:
        if name in self.objects and if_generation not in (None, self.objects[name][1]):
            raise Conflict(f"{name}: is generation {self.objects[name][1]}")
        self.objects.pop(name, None)


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

    def has_stable(self, number: int = 1, behaviour: Behaviour = Behaviour(answer=1.0)) -> ModelVersion:
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


class Pipelines:
    """In the place of `submit.start`: a run opens its release, which is on the road until the test ends it."""

    def __init__(self, worlds: dict[str, World]) -> None:
        self.worlds = worlds
        self.submitted: list[tuple[str, str]] = []
        """Model and candidate of each run, in order."""
        self.runs: list[Pipeline] = []
        self.collisions = 0
        """Runs that found another release on the road."""
        self._numbers = count(1)
        self.begins = True
        self.error: Exception | None = None
        """What the host says in place of starting a run."""
        self.waits: threading.Event | None = None
        """The host answers only when this is set."""

    def start(self, submission: Submission) -> Pipeline:
        if self.waits:
            self.waits.wait(30)
        if self.error:
            raise self.error
        model = submission.arguments["model_name"]
        run = Pipeline(self.worlds[model].platform(model), f"run-{next(self._numbers)}")
        try:
            if self.begins:
                ledger.begin(run.platform, codec.decode(Plan, submission.arguments["plan"]), run.run_id, submission.arguments["model_uri"])
        except Held:
            self.collisions += 1
        self.runs.append(run)
        self.submitted.append((model, submission.arguments["model_uri"]))
        return run

    def versions(self, model: str = "digits") -> list[str]:
        """The last part of each candidate's URI, in the order of submission."""
        return [uri.rpartition("/")[2] for name, uri in self.submitted if name == model]


@dataclass
class Pipeline:
    """One run."""

    platform: Platform
    run_id: str
    over: bool | None = None

    def finished(self) -> bool | None:
        return self.over

    def stop(self) -> None:
        self.over = False

    def describe(self) -> str:
        return f"https://kfp.example/#/runs/details/{self.run_id}"

    def end(self) -> None:
        """The release is over, whatever stands on the road."""
        ledger.end(self.platform, self.run_id, State.ROLLED_BACK, "the test ends it")
        self.over = True


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
