"""The world that the actors share (servers, a route, a record, a bucket), and what must hold of it at every moment.

The ports behave as the adapters do: a write to a route, a track or a pool reads the object, asks `core.fencing`, and writes over the
version that it has read, so that it may be on its way for as long as the schedule says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.fake_storage import FakeStorage
from tests.simulation.scheduler import Clock, Process, Scheduler
from tfcanary import __version__
from tfcanary.core.domain import Counters, Decision, Intent, ModelVersion, Pool, Request, RunningPool, Sample, Scaling, Track, Traffic
from tfcanary.core.errors import Conflict, Diverted, Refused, Unavailable
from tfcanary.core.fencing import admit
from tfcanary.core.plan import NotifyPlan
from tfcanary.core.ports import Change, Deployment, Notice, Platform, Server, Stored
from tfcanary.core.record import Beat, Record, Release, State

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

STARTS = 4.0
"""Seconds until a server that was started serves."""
OF_STABLE = 4
"""Servers of the stable version."""
TRIES = 3
"""How often an adapter tries a write again whose object has changed since it was read."""
ABLE = 75.0
"""Seconds for which a guard that said it could watch is believed: its heartbeat, and what a raise may take."""


LATE = 240.0
"""Seconds for which a raise that was decided before a freeze may be on its way: the longest wait of a write, and what clocks are apart."""
EARLY = 30.0
"""Seconds by which a clock may be ahead."""


@dataclass
class Thing:
    """An object of the world with its version and stamp."""

    version: int = 0
    stamp: Intent | None = None


@dataclass
class World:
    """One model, its servers and its users."""

    scheduler: Scheduler
    pools: dict[Pool, list[float]] = field(default_factory=dict)
    """The pools that run, and when each of their servers began."""
    tracks: dict[Track, Pool] = field(default_factory=dict)
    traffic: Traffic = Traffic()
    diverted: bool = False
    """Somebody has led the route to a Service of their own."""
    stored: Stored | None = None
    guards: set[str] = field(default_factory=set)
    autoscalers: dict[Pool, Scaling] | None = None
    """What the pools' autoscalers have been told; None where versions have none."""
    bad: bool = False
    """The candidate answers with errors."""
    away: dict[str, tuple[float, float]] = field(default_factory=dict)
    """From when to when a port does not answer: `storage`, `metrics`, `router`, `records`."""
    frozen: tuple[int, int] = (0, 0)
    """From when to when no weight may rise by the plan, in minutes."""
    violations: list[str] = field(default_factory=list)
    things: dict[object, Thing] = field(default_factory=dict)
    able: dict[str, tuple[float, int]] = field(default_factory=dict)
    """When each run's guard last said something new about being able to watch."""
    on_guard: Callable[[str], None] = lambda run_id: None

    def __post_init__(self) -> None:
        self.storage, self.stable_storage = FakeStorage(), FakeStorage()
        stable = ModelVersion(1, "sim://bucket/digits/1", "sha256:1")
        self.stored = Stored(Record(model="digits", writer=__version__, stable=stable), 1)
        self.pools[Pool(1)] = [-100.0] * OF_STABLE
        self.tracks[Track.STABLE] = Pool(1)

    def platform(self, process: Process) -> Platform:
        """The ports, as one process has them."""
        clock = self.scheduler.clock(process)
        return Platform(
            uri="sim://",
            model="digits",
            storage=_Storage(self, self.storage, "storage"),
            bucket_uri="sim://bucket",
            stable_storage=_Storage(self, self.stable_storage, "stable bucket"),
            deployer=_Deployer(self),
            router=_Router(self),
            metrics=_Metrics(self),
            predictor=_Predictor(),
            log=_Log(),
            records=_Records(self),
            guards=_Guards(self),
            preflight=_Preflight(),
            notices=_Notices(),
            clock=clock,
        )

    def reach(self, port: str) -> None:
        """Raises Unavailable while a port is away."""
        begins, ends = self.away.get(port, (0.0, 0.0))
        if begins <= self.scheduler.now < ends:
            raise Unavailable(f"{port} does not answer")

    def write(
        self, key: object, what: str, effect: Callable[[], None], intent: Intent, lowering: Callable[[], bool] = lambda: False
    ) -> None:
        """A fenced write in two points: what is late before it is read, and what is on its way afterwards."""
        for _ in range(TRIES):
            thing = self.things.setdefault(key, Thing())
            version, stamp = self.scheduler.point(f"reads for {what}", lambda t=thing: (t.version, t.stamp))
            after = admit(stamp, intent, what, lowering())
            if self.scheduler.point(what, lambda t=thing, v=version, a=after: self._land(t, v, a, effect)):
                return
        raise Conflict(f"{what}: somebody else has written it {TRIES} times in a row")

    def _land(self, thing: Thing, version: int, stamp: Intent, effect: Callable[[], None]) -> bool:
        if thing.version != version:
            return False
        effect()
        thing.version, thing.stamp = version + 1, stamp
        self.check()
        return True

    def serves(self, pool: Pool | None) -> bool:
        """Whether a pool has servers that answer."""
        return self.serving(pool) > 0

    def serving(self, pool: Pool | None) -> int:
        """How many servers of a pool answer."""
        return sum(self.scheduler.now - began >= STARTS for began in self.pools.get(pool, ())) if pool is not None else 0

    def check(self) -> None:
        """No share of users' traffic goes to nothing or to servers that do not serve; stable keeps its servers."""
        for track in (Track.STABLE, Track.CANARY, Track.BASELINE):
            share, pool = self.traffic.of(track), self.tracks.get(track)
            if share and not self.serves(pool):
                self.violate(f"{share} % of users go to the {track.value} track: {pool or 'nothing'}, which does not serve")
        record = self.stored.record if self.stored else None
        if record and record.stable and Pool(record.stable.number) not in self.pools:
            self.violate(f"the stable version {record.stable.number} has no servers")

    def rises(self, before: Traffic, after: Traffic) -> None:
        """The share of the candidate or of the baseline has been raised: there must be a guard that can watch."""
        if after.canary <= before.canary and after.baseline <= before.baseline:
            return
        said, _ = self.able.get(self.run_id, (-1e9, 0))
        release = self.stored.record.release if self.stored else None
        begins, ends = (60.0 * minute for minute in self.frozen)
        decided = begins + LATE if begins else 0.0
        if decided < self.scheduler.now < ends - EARLY and release and not (release.override or release.state is State.PROMOTING):
            self.violate(f"the canary got {after} in a freeze that began {self.scheduler.now - begins:.0f} s ago")
        if self.scheduler.now - said > ABLE:
            self.violate(f"the canary got {after} and no guard has said for {self.scheduler.now - said:.0f} s that it can watch")
        at = self.tracks.get(Track.STABLE)
        told = (self.autoscalers or {}).get(at) if at and after.canary < 100 else None
        if told and not told.held:
            self.violate(f"the canary got {after}, and stable's autoscaler may make it smaller")
        stable = self.serving(at)
        for track in (Track.CANARY, Track.BASELINE):
            serving = self.serving(self.tracks.get(track))
            if serving * 100 < after.of(track) * stable:
                self.violate(f"{after.of(track)} % go to {serving} servers of the {track.value} track, beside {stable} of stable's")

    def advances(self, before: Release | None, after: Release | None) -> None:
        """A stage has ended well: somebody must have seen the counters a moment ago."""
        begins, ends = self.away.get("metrics", (0.0, 0.0))
        is_new = before is not None and after is not None and len(after.watched) > len(before.watched)
        well = is_new and after is not None and after.watched[-1].decision is not Decision.ROLLBACK
        if well and begins + 2 < self.scheduler.now < ends:
            self.violate(f"a stage ended well {self.scheduler.now - begins:.0f} s after the counters were last seen")

    @property
    def run_id(self) -> str:
        """The run of the release in the record."""
        return self.stored.record.release.run_id if self.stored and self.stored.record.release else ""

    def violate(self, what: str) -> None:
        """Something happened that never may."""
        line = f"VIOLATION at {self.scheduler.now:.1f}: {what}"
        self.scheduler.trace.append(line)
        self.violations.append(line)


@dataclass
class _Deployer:
    world: World

    def deploy(self, pool: RunningPool, intent: Intent) -> None:
        def effect() -> None:
            began = self.world.pools.setdefault(pool.pool, [])
            began += [self.world.scheduler.now] * (pool.least - len(began))
            if self.world.autoscalers is not None:
                self.world.autoscalers.setdefault(pool.pool, pool.scaling)

        self.world.write(pool.pool, f"deploy {pool.pool} [{intent.stamp()}]", effect, intent)

    def assign(self, track: Track, pool: Pool | None, intent: Intent) -> None:
        if pool is not None and not self.world.serves(pool):
            raise Unavailable(f"{pool} has no available server for the {track.value} track")

        def effect() -> None:
            if pool is None:
                self.world.tracks.pop(track, None)
            else:
                self.world.tracks[track] = pool

        self.world.write(track, f"assign {track.value} to {pool or 'nothing'} [{intent.stamp()}]", effect, intent)

    def remove(self, pool: Pool, intent: Intent) -> None:
        if pool in self.world.tracks.values():
            raise Refused(f"{pool}: a track points at it")

        def effect() -> None:
            self.world.pools.pop(pool, None)
            if self.world.autoscalers is not None:
                self.world.autoscalers.pop(pool, None)

        self.world.write(pool, f"remove {pool} [{intent.stamp()}]", effect, intent)

    def scale(self, pool: RunningPool, intent: Intent) -> None:
        def effect() -> None:
            if self.world.autoscalers is not None and pool.pool in self.world.autoscalers:
                self.world.autoscalers[pool.pool] = pool.scaling

        self.world.write(("autoscaler", pool.pool), f"scale {pool.pool} {pool.scaling} [{intent.stamp()}]", effect, intent)

    def observe(self, pool: Pool | None = None) -> Deployment:
        def servers(one: Pool) -> tuple[Server, ...]:
            fine = [self.world.scheduler.now - began >= STARTS for began in self.world.pools[one]]
            return tuple(Server(f"{one}-{n}", "", "", available=up, message="" if up else "loading") for n, up in enumerate(fine))

        running = {one: servers(one) for one in self.world.pools if pool in (None, one)}
        stamps = {t: thing.stamp for t in Track if (thing := self.world.things.get(t)) and thing.stamp}
        return Deployment(running, dict(self.world.tracks), stamps, dict(self.world.autoscalers or {}))


@dataclass
class _Router:
    world: World

    def traffic(self) -> Traffic:
        self.world.reach("router")
        if self.world.diverted:
            raise Diverted("the route leads to a Service of somebody else")
        return self.world.traffic

    def stamp(self) -> Intent | None:
        self.world.reach("router")
        return self.world.things.setdefault("route", Thing()).stamp

    def set_traffic(self, traffic: Traffic, intent: Intent) -> None:
        self.world.reach("router")

        def effect() -> None:
            before, self.world.traffic, self.world.diverted = self.world.traffic, traffic, False
            self.world.rises(before, traffic)

        what = f"traffic {traffic} [{intent.stamp()}]"
        self.world.write("route", what, effect, intent, lambda: traffic.lowers(self.world.traffic))
        if self.world.traffic != traffic:
            raise Unavailable(f"{what}: {self.world.traffic} is read back")

    def address(self) -> str:
        return "sim://users"


@dataclass
class _Records:
    world: World

    def read(self) -> Stored | None:
        self.world.reach("records")
        return self.world.stored

    def swap(self, record: Record, generation: int) -> int:
        self.world.reach("records")
        return int(self.world.scheduler.point(f"record {_told(record)}", lambda: self._swapped(record, generation)))

    def _swapped(self, record: Record, generation: int) -> int:
        there = self.world.stored
        if (there.generation if there else 0) != generation:
            raise Conflict(f"the record is generation {there.generation if there else 0}")
        beat = there.record.release.beat if there and there.record.release else None
        release = record.release
        if beat and release and there and there.record.release and there.record.release.run_id == release.run_id:
            record = replace(record, release=replace(release, beat=beat))
        self.world.advances(there.record.release if there else None, release)
        self.world.stored = Stored(record, generation + 1)
        self.world.check()
        return generation + 1

    def beat(self, run_id: str, beat: Beat) -> Stored:
        self.world.reach("records")
        return self.world.scheduler.point(f"beat {beat.number} able {beat.able}", lambda: self._beaten(run_id, beat))  # type: ignore[no-any-return]

    def _beaten(self, run_id: str, beat: Beat) -> Stored:
        stored = self.world.stored
        assert stored is not None
        release = stored.record.release
        if release and release.run_id == run_id and not release.state.ended:
            self.world.stored = Stored(replace(stored.record, release=replace(release, beat=beat)), stored.generation)
            if beat.able != self.world.able.get(run_id, (0.0, 0))[1]:
                self.world.able[run_id] = (self.world.scheduler.now, beat.able)
        assert self.world.stored is not None
        return self.world.stored


def _told(record: Record) -> str:
    release = record.release
    if release is None:
        return "without a release"
    holder = f"{release.holder.name.partition(': ')[2]} {release.holder.renewals}" if release.holder else "nobody"
    return f"{release.run_id} {release.state.value} [{release.intent}] wants {release.desired.traffic}, held by {holder}"


@dataclass
class _Storage:
    world: World
    inner: FakeStorage
    name: str

    def list(self, prefix: str = "") -> tuple[Any, ...]:
        self.world.reach(self.name)
        return self.inner.list(prefix)

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Any:
        self.world.reach(self.name)
        return self.inner.read(name, into, generation)

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Any:
        self.world.reach(self.name)
        return self.world.scheduler.point(f"{self.name}: {name}", lambda: self.inner.write(name, content, if_generation))

    def delete(self, name: str, if_generation: int | None = None) -> None:
        self.world.reach(self.name)
        self.inner.delete(name, if_generation)


@dataclass
class _Metrics:
    world: World

    def sample(self, track: Track, at: datetime) -> Sample:
        self.world.reach("metrics")
        pool = self.world.tracks.get(track)
        if not self.world.serves(pool) or pool is None:
            return Sample(track, up=False)
        served = (self.world.scheduler.now - self.world.pools[pool][0]) * 10
        errors = {"INTERNAL": served} if self.world.bad and pool.number > 1 else {}
        return Sample(track, up=True, servers={str(pool): Counters(served, errors)})

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        return iter(())


class _Predictor:
    def predict(self, track: Track, request: Request) -> Any:
        raise Unavailable("nobody asks in a simulation")


class _Log:
    def requests(self, limit: int) -> Iterator[Request]:
        return iter(())

    def answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        return iter(())


@dataclass
class _Guards:
    world: World

    def start(self, run_id: str) -> None:
        def effect() -> None:
            if run_id not in self.world.guards:
                self.world.guards.add(run_id)
                self.world.on_guard(run_id)

        self.world.scheduler.point(f"start the guard of {run_id}", effect)

    def stop(self, run_id: str) -> None:
        self.world.guards.discard(run_id)


class _Preflight:
    def check(self, record: Record) -> None:
        pass

    def changes(self, version: ModelVersion) -> Iterator[Change]:
        return iter(())


class _Notices:
    def send(self, notice: Notice, to: NotifyPlan) -> None:
        pass


__all__ = ["ABLE", "Clock", "Release", "World"]
