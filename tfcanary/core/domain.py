"""The vocabulary on one page: every value that the rest of the library speaks about.

Values are frozen and hold no handle to the world. Each word is defined once, here; docs/glossary.md explains
how other tools call the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

# TF Serving's request_latency bucket bounds in microseconds: 10 * 1.8^k, k = 0..32; then +Inf
# (tensorflow_serving/servables/tensorflow/util.cc: Exponential(10, 1.8, 33)).
LATENCY_BOUNDS: tuple[float, ...] = tuple(10.0 * 1.8**k for k in range(33))

LATENCY_SUM_ROUNDING = 5e-6
"""Largest relative error of a sum of latencies that is printed with six significant digits, and of the sum of several such sums."""

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?")


class Track(StrEnum):
    """A name to which a share of the requests is sent. Each track points at one pool of servers, or at none."""

    STABLE = "stable"
    CANARY = "canary"
    BASELINE = "baseline"
    """Fresh servers of the stable version, as many and as old as the canary's: the fair control."""
    PREVIEW = "preview"
    """Servers of the candidate that only testers reach."""


COMPARED = (Track.STABLE, Track.CANARY)
"""The two tracks whose counters and answers are compared."""


class Role(StrEnum):
    """What a pool of servers is for. Two pools of one version differ by their role."""

    SERVING = "serving"
    BASELINE = "baseline"
    PREVIEW = "preview"


@dataclass(frozen=True, slots=True, order=True)
class Pool:
    """The servers of one version in one role."""

    number: int
    """The version's number."""
    role: Role = Role.SERVING

    def __str__(self) -> str:
        return f"version {self.number}" + ("" if self.role is Role.SERVING else f" ({self.role.value})")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A numbered model in the bucket. The digest is its identity, the number its name."""

    number: int
    """Positive; the name of its directory; the number TF Serving shows."""
    uri: str
    """The directory of the version, as the servers see it."""
    digest: str
    """`sha256:` and the Merkle root of its files."""

    def __post_init__(self) -> None:
        if not 0 < self.number < 2**53:
            raise ValueError(f"version number {self.number}: must be between 1 and 2^53 - 1")


@dataclass(frozen=True, slots=True)
class Traffic:
    """How users' requests divide between the tracks, in whole percent; the stable track gets what no other gets."""

    canary: int = 0
    """The canary's share."""
    baseline: int = 0
    """The baseline's share."""
    mirror: int = 0
    """How many percent of the stable track's requests are copied to the canary; its answers are thrown away. Only while `canary` is 0."""
    preview: bool = False
    """Whether requests with the plan's preview header reach the preview track."""

    def __post_init__(self) -> None:
        for name in ("canary", "baseline", "mirror"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} {getattr(self, name)}: must be a whole percent from 0 to 100")
        if self.canary + self.baseline > 100:
            raise ValueError(f"canary {self.canary}, baseline {self.baseline}: must together be at most 100 percent")
        if self.mirror and self.canary:
            raise ValueError(
                f"mirror {self.mirror}, canary {self.canary}: requests are mirrored only while the canary gets none of its own"
            )

    @property
    def stable(self) -> int:
        """The stable track's share in percent."""
        return 100 - self.canary - self.baseline

    def of(self, track: Track) -> int:
        """The share of a track in percent; the preview track has none."""
        return {Track.STABLE: self.stable, Track.CANARY: self.canary, Track.BASELINE: self.baseline, Track.PREVIEW: 0}[track]

    def lowers(self, before: Traffic) -> bool:
        """Whether the candidate, by each of its ways, and the baseline get at most what they got before."""
        canary, baseline = self.canary <= before.canary, self.baseline <= before.baseline
        return canary and baseline and self.mirror <= before.mirror and self.preview <= before.preview

    def __str__(self) -> str:
        parts = [f"{self.canary} %"]
        parts += [f"baseline {self.baseline} %"] if self.baseline else []
        parts += [f"mirror {self.mirror} %"] if self.mirror else []
        parts += ["preview"] if self.preview else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Intent:
    """The fencing token of a write: which release wants it, and the how manieth change of what is wanted this is.

    Routes, tracks and servers carry the intent of their last write. Numbers grow over all releases of a model.
    """

    run_id: str
    number: int

    def stamp(self) -> str:
        """The text that objects carry, for example `17 run-1`."""
        return f"{self.number} {self.run_id}"

    @staticmethod
    def of_stamp(text: str | None) -> Intent | None:
        """The intent that a stamp says; None where there is no stamp, or somebody wrote something else there."""
        number, _, run_id = (text or "").partition(" ")
        return Intent(run_id, int(number)) if number.isdecimal() and run_id else None


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the autoscaler of a pool has been told: the least number of servers, and whether it may not make the pool smaller."""

    least: int
    held: bool


@dataclass(frozen=True, slots=True)
class RunningPool:
    """A pool that is to run, with the version that it serves and the least number of its servers."""

    version: ModelVersion
    role: Role = Role.SERVING
    least: int = 1
    held: bool = False
    """Whether its autoscaler, if it has one, may not make it smaller: a rollback would need the servers."""

    @property
    def scaling(self) -> Scaling:
        """What the pool's autoscaler is to be told."""
        return Scaling(self.least, self.held)

    @property
    def pool(self) -> Pool:
        """The name of this pool: its version's number and its role."""
        return Pool(self.version.number, self.role)


@dataclass(frozen=True, slots=True)
class Desired:
    """The world as a release wants it: `act.restore` makes it so."""

    traffic: Traffic = Traffic()
    tracks: Mapping[Track, Pool] = field(default_factory=dict)
    """Which pool each track points at; a track that is not named points at nothing."""
    pools: tuple[RunningPool, ...] = ()
    """The pools that run; every other pool of the model is removed."""

    def pool(self, pool: Pool) -> RunningPool | None:
        """The pool of this name, if it is to run."""
        return next((one for one in self.pools if one.pool == pool), None)

    def with_pool(self, wanted: RunningPool) -> Desired:
        """With this pool, in place of one of the same name."""
        return replace(self, pools=(*(one for one in self.pools if one.pool != wanted.pool), wanted))

    def without_pool(self, pool: Pool) -> Desired:
        """Without the pool of this name."""
        return replace(self, pools=tuple(one for one in self.pools if one.pool != pool))

    def pointing(self, track: Track, pool: Pool | None) -> Desired:
        """With a track that points at this pool, or at none."""
        others = {name: at for name, at in self.tracks.items() if name is not track}
        return replace(self, tracks=others if pool is None else {**others, track: pool})


@dataclass(frozen=True, slots=True)
class Counters:
    """What one server has counted since it started: raw and cumulative, never a rate."""

    ok: float
    """Answered predict, classify and regress requests (the count of the latency histogram: probes are not in it)."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Failed requests by status, for example {"INVALID_ARGUMENT": 3}."""
    latency: tuple[float, ...] = ()
    """Answered requests with a latency below each of LATENCY_BOUNDS, then all of them: 34 numbers, or none."""
    quality: tuple[float, float, float] | None = None
    """Sum, sum of squares and number of a per-request value, higher is better."""
    classes: tuple[float, ...] = ()
    """Predictions by class, if somebody counts them."""
    objectives: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Events and exposures by the name of the plan's objective; of a mean the sum and number of the values, and the sum of their squares
    where it is known. Without those that this server does not count."""
    latency_sum: float | None = None
    """Sum of the latencies of the requests in `latency`, in microseconds like LATENCY_BOUNDS; None where it is not exported.

    TF Serving prints it with six significant digits, so that it may be wrong by LATENCY_SUM_ROUNDING of itself.
    """

    @property
    def failed(self) -> float:
        """Failed requests, whatever their status."""
        return sum(self.errors.values())


@dataclass(frozen=True, slots=True)
class Sample:
    """All the counters of one track at one instant, server by server."""

    track: Track
    up: bool
    """Every server of the track answered. Where not, `servers` may lack some and nothing may be concluded."""
    servers: Mapping[str, Counters] = field(default_factory=dict)
    every: float = field(default=0.0, compare=False)
    """Seconds between two counts, where somebody else counts and only tells; 0: each look counts anew. It is no part of what was counted."""


class Finding(StrEnum):
    """The answer to one question. Only `fail` says "asked, and bad"; no data is `inconclusive`."""

    PASS = "pass"
    WARN = "warn"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"


class Decision(StrEnum):
    """What the judge says."""

    ADVANCE = "advance"
    PROMOTE = "promote"
    HOLD = "hold"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds, in the unit of whatever it estimates."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The answer to one question: label, reason and numbers together."""

    about: str
    """A stable id, for example `savedmodel/signature` or `metrics/errors`."""
    finding: Finding
    reason: str
    """One sentence that a person on call understands."""
    gating: bool = True
    """Whether it may decide. What does not gate is shown, and never promotes nor rolls back."""
    unit: str = ""
    """The unit of interval, tolerance and margin, for example `ratio to stable`."""
    interval: Interval | None = None
    tolerance: float | None = None
    """What may not cause a rollback."""
    margin: float | None = None
    """What promotion must exclude."""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """What it rests on: counts on both tracks, alpha spent, sizes; name to value."""
    suspended: bool = False
    """It would be enough for a rollback, and does not count yet: a new server may still be warming up. No weight rises meanwhile."""


@dataclass(frozen=True, slots=True)
class Absence:
    """A question that was not asked, and why: `absent by plan` or `not built yet`."""

    about: str
    reason: str


ABSENT = "absent"
"""The answer of a look that asked nothing which may decide: neither passed nor failed."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the world found: the output of a step that only looks."""

    about: str
    evidence: tuple[Evidence, ...] = ()
    absent: tuple[Absence, ...] = ()

    @property
    def finding(self) -> Finding:
        """The worst gating finding; `pass` where the plan asks nothing (everything is absent), else no data never passes."""
        return worst(self.evidence, none=Finding.PASS if self.absent else Finding.INCONCLUSIVE)

    @property
    def answer(self) -> str:
        """What people are told: the word of the finding, or ABSENT where the plan asks nothing; a gate compares the finding."""
        asked = any(e.gating for e in self.evidence)
        return self.finding.value if asked or not self.absent else ABSENT


def worst(evidence: Iterable[Evidence], none: Finding = Finding.INCONCLUSIVE) -> Finding:
    """The worst finding among the gating evidence, in the order pass, warn, inconclusive, fail."""
    order = list(Finding)
    return max((e.finding for e in evidence if e.gating), key=order.index, default=none)


UNDECIDED = "stage/time"
"""The evidence of a stage that ended because its time was over: nothing was found bad."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with its reason and all that it rests on."""

    decision: Decision
    reason: str
    evidence: tuple[Evidence, ...] = ()
    absent: tuple[Absence, ...] = ()
    stage: int = 0
    weight: int = 0
    at: datetime | None = None

    @property
    def undecided(self) -> bool:
        """It rolls back because nobody could tell in time, not because something was found bad."""
        return any(e.about == UNDECIDED for e in self.evidence)


@dataclass(frozen=True, slots=True)
class Request:
    """One recorded request: TF Serving's REST predict body for one row or one batch, and the label where known."""

    body: Mapping[str, object]
    """For example {"instances": [[0.0, 1.0]]}; `signature_name` where it is not the default."""
    id: str = ""
    label: int | float | str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer of one track to one request."""

    status: int
    """HTTP status; 200 is an answer."""
    body: Mapping[str, object]
    seconds: float
