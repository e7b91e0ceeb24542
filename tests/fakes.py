"""The ports in memory: real objects that behave, on one clock. Traffic flows while the clock sleeps.

`World` is a model behind a router: each server answers, fails and takes its time as its `Behaviour` says, and counts
like a TF Serving process. Stable and canary always differ.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from tests.fake_storage import FakeStorage
from tests.process import Behaviour, Process
from tfcanary.core.domain import Intent, ModelVersion, Pool, Prediction, Request, RunningPool, Sample, Scaling, Track, Traffic
from tfcanary.core.errors import Conflict, Diverted, Refused, Unavailable
from tfcanary.core.fencing import admit
from tfcanary.core.plan import NotifyPlan
from tfcanary.core.ports import Change, Deployment, Notice, Platform, Server, Stored
from tfcanary.core.record import Beat, Record, Release

STABLE = Behaviour(answer=1.0)
"""How the version behaves that serves before a release."""


def weighing(release: Release, weight: int) -> Release:
    """The release with this share of users' requests for the canary desired."""
    return replace(release, desired=replace(release.desired, traffic=Traffic(canary=weight)))


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

    @contextmanager
    def beside(self, seconds: float, call: Callable[[], None]) -> Iterator[None]:
        """Calls are made in sleeps, once in each that ends so many seconds after the last call."""
        last = [self.time]

        def ticked(_: float) -> None:
            if self.time - last[0] >= timedelta(seconds=seconds):
                last[0] = self.time
                call()

        self.on_sleep.append(ticked)
        try:
            yield
        finally:
            self.on_sleep.remove(ticked)


class FakeRecords:
    """One record, compare and swap."""

    def __init__(self) -> None:
        self.stored: Stored | None = None
        self.reads = 0
        self.writes = 0
        self._lock = threading.Lock()

    def read(self) -> Stored | None:
        self.reads += 1
        return self.stored

    def swap(self, record: Record, generation: int) -> int:
        with self._lock:
            there = self.stored.generation if self.stored else 0
            if there != generation:
                raise Conflict(f"{record.model}: the record is generation {there}")
            self.writes += 1
            self.stored = Stored(record, there + 1)
            return there + 1

    def beat(self, run_id: str, beat: Beat) -> Stored:
        if self.stored is None or self.stored.record.release is None:
            raise Refused("there is no record to note the guard in")
        release = self.stored.record.release
        if release.run_id == run_id and not release.state.ended:
            self.stored = Stored(replace(self.stored.record, release=replace(release, beat=beat)), self.stored.generation)
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
        self.processes: dict[Pool, Process] = {}
        self.counts: dict[Pool, int] = {}
        """How many servers each pool has; one where it is not named."""
        self.room: dict[Pool, int] = {}
        """So many servers of a pool become available, where the pool is named."""
        self.autoscalers: dict[Pool, Scaling] | None = None
        """What the pools' autoscalers have been told; None where versions get none."""
        self.tracks: dict[Track, Pool] = {}
        self.traffic = Traffic()
        self.diverted = ""
        """Where somebody led users' requests instead of to the tracks."""
        self.stamps: dict[object, Intent] = {}
        """The intent of the last write to the route, to each track and to each pool."""
        self.rate = rate
        self.chance = random.Random(seed)
        self.scraped = True
        self.sizes: list[RunningPool] = []
        """Which pools were started or made larger, and to which size."""
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

    @property
    def weight(self) -> int:
        """The canary's share in force."""
        return self.traffic.canary

    def flow(self, seconds: float) -> None:
        """Users' requests of that many seconds, divided as the traffic says."""
        total = round(self.rate * seconds) if self.tracks else 0
        draws = [self.chance.random() * 100 for _ in range(total)]
        canary = sum(draw < self.traffic.canary for draw in draws)
        baseline = sum(self.traffic.canary <= draw < self.traffic.canary + self.traffic.baseline for draw in draws)
        for track, requests in ((Track.CANARY, canary), (Track.BASELINE, baseline), (Track.STABLE, total - canary - baseline)):
            process = self.process(track)
            if process is None:
                self.unserved += requests
            elif not process.behaviour.silent:
                process.serve(requests, self.chance)

    def process(self, track: Track) -> Process | None:
        """The server behind a track; None where users would meet nobody."""
        pool = self.tracks.get(track)
        return self.processes.get(pool) if pool else None

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
        self.processes[Pool(number)] = Process(behaviour)
        self.tracks[Track.STABLE] = Pool(number)
        self.records.stored = Stored(Record(model="digits", writer=__version__, stable=version), 1)
        return version


@dataclass
class _Deployer:
    world: World

    def deploy(self, pool: RunningPool, intent: Intent) -> None:
        self._stamp(pool.pool, intent)
        self.world.sizes.append(pool)
        self.world.counts[pool.pool] = max(self.world.counts.get(pool.pool, 1), pool.least)
        if self.world.autoscalers is not None:
            self.world.autoscalers[pool.pool] = pool.scaling
        number = pool.version.number
        behaviour = self.world.behaviours.get(number, Behaviour(answer=float(number)))
        self.world.processes.setdefault(pool.pool, Process(behaviour))

    def assign(self, track: Track, pool: Pool | None, intent: Intent) -> None:
        self._stamp(track, intent)
        if pool is None:
            self.world.tracks.pop(track, None)
        else:
            self.world.tracks[track] = pool

    def remove(self, pool: Pool, intent: Intent) -> None:
        if pool in self.world.tracks.values():
            raise Refused(f"{pool}: a track points at it")
        self._stamp(pool, intent)
        self.world.processes.pop(pool, None)
        self.world.counts.pop(pool, None)
        if self.world.autoscalers:
            self.world.autoscalers.pop(pool, None)

    def scale(self, pool: RunningPool, intent: Intent) -> None:
        self._stamp(("autoscaler", pool.pool), intent)
        if self.world.autoscalers and pool.pool in self.world.autoscalers:
            self.world.autoscalers[pool.pool] = pool.scaling

    def observe(self, pool: Pool | None = None) -> Deployment:
        def servers(pool: Pool, process: Process) -> tuple[Server, ...]:
            fine = process.behaviour.loads
            message = "" if fine else "the load ended in an error"
            one = Server(f"v{pool.number}", "", "", available=fine, failed=not fine, message=message)
            more = [f"v{pool.number}-{number}" for number in range(1, self.world.counts.get(pool, 1))]
            room = self.world.room.get(pool, 1000)
            full = Server("full", "", "", available=False, message="0/3 nodes are available")
            return (one, *(replace(full if n >= room else one, name=name) for n, name in enumerate(more, 1)))

        running = {p: servers(p, process) for p, process in self.world.processes.items() if pool in (None, p)}
        stamps = {track: stamp for track, stamp in self.world.stamps.items() if isinstance(track, Track)}
        return Deployment(running, dict(self.world.tracks), stamps, dict(self.world.autoscalers or {}))

    def _stamp(self, what: object, intent: Intent) -> None:
        self.world.stamps[what] = admit(self.world.stamps.get(what), intent, str(what))


ROUTE = "route"


@dataclass
class _Router:
    world: World

    def traffic(self) -> Traffic:
        if self.world.diverted:
            raise Diverted(f"the route leads to {self.world.diverted}")
        return self.world.traffic

    def stamp(self) -> Intent | None:
        return self.world.stamps.get(ROUTE)

    def set_traffic(self, traffic: Traffic, intent: Intent) -> None:
        lowering = traffic.lowers(self.world.traffic)
        self.world.stamps[ROUTE] = admit(self.world.stamps.get(ROUTE), intent, ROUTE, lowering)
        self.world.traffic, self.world.diverted = traffic, ""
        self.world.weights.append(traffic.canary)

    def address(self) -> str:
        return "fake://users"


@dataclass
class _Metrics:
    world: World

    def sample(self, track: Track, at: datetime) -> Sample:
        if not self.world.scraped:
            raise Unavailable("the metric source does not answer")
        process, pool = self.world.process(track), self.world.tracks.get(track)
        if process is None or pool is None:
            return Sample(track, up=False)
        return Sample(track, up=True, servers={f"v{pool.number}": process.counters()})

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        return iter(())


@dataclass
class _Predictor:
    world: World

    def predict(self, track: Track, request: Request) -> Prediction:
        process = self.world.process(track)
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
        stored = self.world.records.stored
        if self.world.guard_reports and run_id in self.world.guards and stored and stored.record.release:
            last = stored.record.release.beat or Beat(0, 0, self.world.clock.now())
            self.world.records.beat(run_id, replace(last, number=last.number + 1, able=last.able + 1, at=self.world.clock.now()))


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
