"""The parts of a plan about what is looked at beside the counters: the model itself, its answers, drift, labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from tfcanary.core.durations import written
from tfcanary.core.plan.stage_times import fraction, seconds


@dataclass(frozen=True, slots=True)
class PredictionsPlan:
    """The same requests to both tracks, at weight 0, before any user sees the candidate."""

    source: str
    """Requests to send: a file or `gs://` URI (JSONL, Parquet, PredictionLog), or `log` for the stable's own request log.

    A folder with `stable/` and `canary/` in it holds the logs of mirrored requests: they are joined by id, and nothing is sent."""
    limit: int = 5000
    """Requests to send at most, to each track. All of them are sent: each may be the first that only the candidate fails."""
    accuracy_margin: float = 0.02
    """With labels: the candidate's accuracy may lie this much below stable's; the interval must exclude more."""
    flips: float | None = None
    """Without labels: the largest share of changed answers that passes. Off by default: a better model answers differently, too."""
    rate: float = 100.0
    """Requests a second to each track at most: the servers are at work."""
    alpha: float = 0.05
    """The chance that an interval ever excludes the truth, however often one looks at it."""
    slices: tuple[str, ...] = ()
    """Inputs whose values divide the requests, for example `country`: with labels, a slice that got worse is named, and fails."""

    def __post_init__(self) -> None:
        fraction("accuracy_margin", self.accuracy_margin)
        fraction("alpha", self.alpha, 0.5)
        if self.limit < 1 or self.rate <= 0:
            raise ValueError(f"limit {self.limit}, rate {self.rate}: must be positive")


@dataclass(frozen=True, slots=True)
class ShareLimits:
    """From which share of the rows on something is shown, and from which on it is drift."""

    warn: float = 0.01
    """Share of the rows from which on it is shown."""
    fail: float = 0.05
    """Share of the rows from which on it is drift."""

    def __post_init__(self) -> None:
        if not 0 < self.warn <= self.fail <= 1:
            raise ValueError(f"warn {self.warn}, fail {self.fail}: must be positive, rise, and be at most 1")


@dataclass(frozen=True, slots=True)
class DriftPlan:
    """Inputs and predictions of each stage's window, stable against canary."""

    source: str = "log"
    """Recorded requests of the window: `log` for the servers' own request logs, or a folder or `gs://` prefix with `stable/` and `canary/` in it."""
    alpha: float = 0.01
    """Its part of the release's chance of a false rollback, over all its looks."""
    warn: float = 0.05
    """About 5 % of rows moved: shown."""
    fail: float = 0.10
    """About 10 % of rows moved, and it gates."""
    unseen: ShareLimits = ShareLimits()
    """Rows with a text that the other side does not have, beyond those that are to be expected: an encoder knows no such value."""
    missing: ShareLimits = ShareLimits()
    """Rows that are null or NaN on one side and not on the other."""
    gating: tuple[str, ...] = ("classes",)
    """Which comparisons may fail a release. Score drift alone never does: a better model answers differently, too."""
    reference: str = ""
    """Profile or data of the training, a file or `gs://` URI. Default: what the candidate carries in its assets.extra, or else stable."""
    time: str = ""
    """The column of the time where `source` is a folder; logs bring their own. `all`: whatever lies there is of this release."""
    columns: tuple[str, ...] = ()
    """Only these inputs are compared, for example `age`; empty: all."""
    importance: dict[str, float] = field(default_factory=dict)
    """What moves in an input counts so many times, for example {"age": 2}; with 0 it is only shown."""
    entity: str = ""
    """The column whose rows belong together, for example a user: their requests are no independent ones."""
    retrain: str = ""
    """The pipeline that is asked for when the world has drifted, once each drift; empty: nobody is asked."""
    retrain_every: timedelta = seconds(86400)
    """The same drift is there in every release until somebody has retrained: outside it is told at most once in this time."""

    def __post_init__(self) -> None:
        fraction("alpha", self.alpha, 0.5)
        if not 0 < self.warn <= self.fail <= 1:
            raise ValueError(f"warn {self.warn}, fail {self.fail}: must be positive, rise, and be at most 1")
        if negative := [name for name, weight in self.importance.items() if not weight >= 0]:
            raise ValueError(f"importance {self.importance[negative[0]]} of {negative[0]!r}: must not be negative")


@dataclass(frozen=True, slots=True)
class LabelledPlan:
    """How good the answers were, once labels are known: canary against stable."""

    labels: str
    """Labels by the id of a request: a file or `gs://` URI in any form that drift reads, with columns `id` and `label`.

    With `judge.quality` they are looked for during the watch, too, and the judge hears how right both tracks were."""
    source: str = "log"
    """The answered requests, as in `drift.source`; each needs its id."""
    history: timedelta = seconds(86_400)
    """Stable's answers of so long before the canary's first request give the level that the judge compares with: their labels are here."""
    slices: tuple[str, ...] = ()
    """Inputs, or columns beside the labels, whose values divide the requests; each slice is judged on its own."""
    margin: float = 0.02
    """The canary's accuracy may lie this much below stable's, in each slice."""
    alpha: float = 0.05
    """The chance of ever being wrong in any slice, however often one looks."""

    def __post_init__(self) -> None:
        fraction("margin", self.margin)
        fraction("alpha", self.alpha, 0.5)
        if self.history < seconds(0):
            raise ValueError(f"history {written(self.history)}: must not be negative")


@dataclass(frozen=True, slots=True)
class ValidationPlan:
    """The gate before anything is copied."""

    timeout: timedelta = seconds(300)
    """For the trial: loading the model and answering its sample requests, in a process of its own."""
    memory_mib: int = 8192
    """Address space of the trial process."""
    batches: tuple[int, ...] = (1, 2, 8)
    """Batch sizes of the generated sample requests."""
    signature: str = "serving_default"
    """The signature that must exist and is tried."""
    tensorflow: str = ""
    """The minor version of TensorFlow in the serving image, for example `2.20`. Default: the newest whose operations are known."""
    operations: tuple[str, ...] = ()
    """Custom operations that the serving image has besides TensorFlow's, TF.Text's and Decision Forests'."""
    devices: tuple[str, ...] = ()
    """What the servers have besides processors, for example `GPU`: operations may be pinned to it."""
    golden: str = ""
    """Requests that the candidate must answer in the trial: a file or `gs://` URI (JSON lines, Parquet, PredictionLog).

    A request's label, where it has one, is compared with the answer as in `predictions`, so that one file may serve both. Without
    `accuracy`, as many labels must be answered as by stable, less `accuracy_margin`; the labels of a first release are only shown."""
    golden_limit: int = 5000
    """Golden requests to send at most. All of them are looked at for failures and NaN."""
    golden_tolerance: float = 0.001
    """How far a single number that is no score may lie from its label, relative to the label. Without `accuracy`, none may lie farther."""
    accuracy: float | None = None
    """The share of the golden labels that the candidate must answer, for example 0.9, whatever stable answers."""
    accuracy_margin: float = 0.02
    """Without `accuracy`: the candidate's share of answered golden labels may lie this much below stable's on the same requests."""
    slower: float = 1.5
    """The candidate's latency in the trial, as a multiple of stable's, from which on the report warns: a trial is no load test."""
    larger: float = 1.5
    """The same for its peak memory beyond TensorFlow's own."""

    def __post_init__(self) -> None:
        if self.timeout <= seconds(0) or self.memory_mib < 1 or not self.batches or min(self.batches) < 1 or max(self.batches) > 4096:
            raise ValueError("timeout and memory_mib must be positive, and batches at least one number from 1 to 4,096")
        if not 1 <= self.golden_limit <= 100_000:
            raise ValueError(f"golden_limit {self.golden_limit}: must be from 1 to 100,000")
        if self.accuracy is not None and not 0 < self.accuracy <= 1:
            raise ValueError(f"accuracy {self.accuracy}: must be above 0 and at most 1")
        fraction("accuracy_margin", self.accuracy_margin)
        if self.golden_tolerance < 0 or self.slower <= 0 or self.larger <= 0:
            raise ValueError("golden_tolerance must not be negative; slower and larger must be positive")
