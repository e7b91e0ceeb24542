"""The ports: all that the library knows of the world, each method with its promise.

Adapters bind one model each; `Platform` holds them together. Any method may raise Unavailable when its part of
the world cannot be reached; adapters own timeouts and bounded retries with jitter, and name in the sentence whom
they could not reach. Foreign exceptions never cross a port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tfcanary.core.domain import Intent, ModelVersion, Pool, Prediction, Request, RunningPool, Sample, Scaling, Track, Traffic
from tfcanary.core.plan import NotifyPlan
from tfcanary.core.record import Beat, Record


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored object, as the listing shows it."""

    name: str
    """Relative to the storage's root, with `/`."""
    size: int
    generation: int
    """Changes with every write of the name; never 0."""
    checksum: str
    """CRC32C of the content: `crc32c:` and 8 hexadecimal digits. `etag:` and S3's ETag for an object that another program wrote there."""


class Storage(Protocol):
    """Objects under one root: a bucket with a prefix, or a directory."""

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        """Everything whose name starts with `prefix`, sorted by name; empty where there is nothing."""

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
        """Copy the content into `into` in pieces, checksum verified. Raises Refused where the name is missing, Conflict where it is another generation."""

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Blob:
        """Complete or not at all. `if_generation` 0: only where the name does not exist; n: only over generation n; else Conflict."""

    def delete(self, name: str, if_generation: int | None = None) -> None:
        """Nothing to do where the name is missing. Raises Conflict where it is another generation."""


@dataclass(frozen=True, slots=True)
class Server:
    """One model server process or pod."""

    name: str
    rest: str
    """Base address, for example http://127.0.0.1:8501."""
    grpc: str
    """host:port."""
    available: bool
    """GetModelStatus says AVAILABLE for the very version it was started for."""
    message: str = ""
    """Why it is not, in the server's words."""
    failed: bool = False
    """It will not become available: the load ended in an error, or the process died."""
    silent: bool = False
    """It did not answer in time, and nobody says that it is down: nothing may be concluded."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What runs: the servers of each pool, and which pool each track's traffic goes to."""

    servers: Mapping[Pool, tuple[Server, ...]] = field(default_factory=dict)
    tracks: Mapping[Track, Pool] = field(default_factory=dict)
    stamps: Mapping[Track, Intent] = field(default_factory=dict)
    """The intent of the last write to each track that carries one."""
    scaling: Mapping[Pool, Scaling] = field(default_factory=dict)
    """What the autoscalers of the pools that have one have been told."""


class Deployer(Protocol):
    """Starts and stops pools of servers, and points tracks at them. No method restarts a running server.

    Every write names the intent behind it and leaves its stamp (`core.fencing`); Conflict says that a newer intent was there first.
    """

    def deploy(self, pool: RunningPool, intent: Intent) -> None:
        """Start the pool's servers where they do not run, at least `pool.least` of them; returns without waiting. May be repeated.

        The method moves no traffic and ends no server that runs.
        """

    def scale(self, pool: RunningPool, intent: Intent) -> None:
        """Tell the pool's autoscaler its least number of servers, and whether the pool is held; nothing to do where it has none."""

    def assign(self, track: Track, pool: Pool | None, intent: Intent) -> None:
        """Point a track at a pool (None: at nothing); returns once in force; no request fails on the way."""

    def remove(self, pool: Pool, intent: Intent) -> None:
        """Stop a pool's servers after their last request; nothing to do where none run. Raises Refused for a pool that a track points at."""

    def observe(self, pool: Pool | None = None) -> Deployment:
        """What runs at this moment, asked of the servers themselves. With `pool`: that pool's servers only, and cheap enough for every poll."""


class Router(Protocol):
    """Divides users' requests between the tracks."""

    def traffic(self) -> Traffic:
        """Read back from what is in force, not from what was asked. Raises Diverted where the route leads elsewhere than to the tracks."""

    def set_traffic(self, traffic: Traffic, intent: Intent) -> None:
        """Return once the traffic is in force and read back; no request fails on the way. Needs nothing to be healthy to lower the canary to 0.

        Raises Conflict where a newer intent has written already (`core.fencing`).
        """

    def stamp(self) -> Intent | None:
        """The intent of the last write of ours to the route; None where there is none."""

    def address(self) -> str:
        """Where users' requests go, for example http://127.0.0.1:8600."""


class MetricSource(Protocol):
    """Cumulative counters of the servers."""

    def sample(self, track: Track, at: datetime) -> Sample:
        """The track's counters now. A server that does not answer: `up=False`. Unavailable only where the source itself cannot be asked."""

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Seconds and sample, oldest first, of the two hours before `at`; nothing where the source keeps none."""


class Predictor(Protocol):
    """One request to one track, past the split."""

    def predict(self, track: Track, request: Request) -> Prediction:
        """The track's answer, whatever its status. Unavailable where it does not answer at all."""


class RequestSource(Protocol):
    """Recorded requests, oldest first."""

    def requests(self, limit: int) -> Iterator[Request]:
        """At most `limit` of them; Refused where a record cannot be read, with file and line."""


class RequestLog(RequestSource, Protocol):
    """What the servers themselves recorded. A stock TF Serving records nothing."""

    def answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        """Arrow record batches with columns `input.<name>` and `output.<name>`, one row for each row of a request; nothing where no log is kept."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read, with the generation that a write must name."""

    record: Record
    generation: int


class Records(Protocol):
    """The model's record: read, compare and swap."""

    def read(self) -> Stored | None:
        """The record and its generation; None where there never was one. Raises Refused where its schema is unknown."""

    def swap(self, record: Record, generation: int) -> int:
        """Write over `generation` (0: where there is none) and return the new one; Conflict where somebody wrote first."""

    def beat(self, run_id: str, beat: Beat) -> Stored:
        """Write the guard's beat and return what stands. It changes `release.beat` alone, and no generation: it makes nobody lose a race."""


class Guards(Protocol):
    """Keeps the guard of a release running: it is no part of the pipeline's run."""

    def start(self, run_id: str) -> None:
        """Start the guard of this release where it does not run; it is restarted when it dies, and ends by itself after the release."""

    def stop(self, run_id: str) -> None:
        """Remove the guard of a release that has ended; nothing to do where none is. The guard may call it itself, as its last act."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a receiver is told."""

    id: str
    """The run id and what has happened: the same each time it is told."""
    kind: str
    """`release.promoted`, `release.rolled_back`, `release.refused`, `stage.advanced`, `stage.awaits_approval` or `drift.world`."""
    at: datetime
    """When it happened."""
    platform: str
    model: str
    run_id: str
    state: str
    """Where the release stands."""
    reason: str
    candidate: int | None = None
    stable: int | None = None
    stage: int | None = None
    weight: int | None = None
    """The canary's share at that stage, in percent."""
    retrain: str = ""
    """The pipeline that is asked to retrain."""


class Notices(Protocol):
    """Tells receivers outside what happened to a release."""

    def send(self, notice: Notice, to: NotifyPlan) -> None:
        """Returns once the receiver has taken it. Raises Unavailable or Refused, naming its host and never its address, within half a minute."""


@dataclass(frozen=True, slots=True)
class Change:
    """An object that a release would write."""

    name: str
    """Kind and name, for people."""
    before: Mapping[str, Any] | None
    """As it is; None: it does not exist."""
    after: Mapping[str, Any]
    """As it would be after the write."""


class Signer(Protocol):
    """Signs what this process says, with a key of its own."""

    def key_id(self) -> str:
        """The id of the public key: the SHA-256 of its DER form, in hexadecimal digits. Raises Refused where the key cannot be used."""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message. Raises Refused where the key cannot be used."""


class Preflight(Protocol):
    """What can be known before the first write."""

    def check(self, record: Record) -> None:
        """Asks only. Raises Refused for whatever would stop the release later: a step that the router cannot do, an object that is not ours."""

    def changes(self, version: ModelVersion) -> Iterator[Change]:
        """Every object that the deployment of this version writes, in order; nothing is written."""


class Clock(Protocol):
    """Time, as a port: nothing that judges or waits asks the machine's clock itself."""

    def now(self) -> datetime:
        """The present time, with its zone."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""

    def beside(self, seconds: float, call: Callable[[], None]) -> AbstractContextManager[None]:
        """Make `call` every so many seconds beside the block, until the block ends; a call that raises ends the calls, and nothing else."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The ports bound to one model on a cluster or on this machine."""

    uri: str
    model: str
    storage: Storage
    """The canary bucket; the judge's state lies beside the versions."""
    bucket_uri: str
    """What the storage's names are relative to, as servers see it."""
    stable_storage: Storage | None
    """Where a promoted version is copied to, if the plan names a stable bucket."""
    deployer: Deployer
    router: Router
    metrics: MetricSource
    predictor: Predictor
    log: RequestLog
    records: Records
    guards: Guards
    preflight: Preflight
    notices: Notices
    clock: Clock
    signer: Signer | None = None
    """Signs verdicts at a promotion; None where this process was given no key."""
