"""The part of a plan about the verdict: docs/judge.md tells where each number comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tfcanary.core.durations import written
from tfcanary.core.plan.stage_times import fraction, seconds
from tfcanary.core.selector import parse

LARGEST_MARGIN = 100.0
"""Nobody means to allow more than a hundredfold."""


@dataclass(frozen=True, slots=True)
class ErrorsPlan:
    """The share of requests that fail, canary against stable."""

    tolerance: float = 0.10
    """Relative: 10 % more errors than stable may not cause a rollback ..."""
    tolerance_absolute: float = 0.0002
    """... nor may 0.02 points more: doubling one error in 100,000 is nobody's outage. Both must be exceeded."""
    margin: float = 0.50
    """Relative: promotion must exclude 50 % more errors ..."""
    margin_absolute: float = 0.002
    """... or 0.2 points more, whichever is larger."""

    def __post_init__(self) -> None:
        for low, high, name in ((self.tolerance, self.margin, ""), (self.tolerance_absolute, self.margin_absolute, "_absolute")):
            if not 0 <= low < high:
                raise ValueError(f"tolerance{name} {low}, margin{name} {high}: the tolerance must not be negative, and be below the margin")


@dataclass(frozen=True, slots=True)
class LatencyPlan:
    """How long answered requests take, canary against stable, on the server's own histogram."""

    tolerance: float = 0.03
    """Slower by 3 % as a whole may not cause a rollback."""
    margin: float = 0.10
    """Promotion must exclude that the mean latency is 10 % higher."""
    tail_tolerance: float = 0.08
    """Slowest answers that take 8 % longer may not cause a rollback."""
    tail_share_margin: float = 0.50
    """Promotion must exclude 50 % more answers beyond each of the bounds nearest to the slowest 10, 3 and 1 %: a mean hides them.

    A slow answer weighs like an error, whose margin is the same; a tail that takes 25 % longer usually has 60 to 80 % more such answers."""
    least_answers: int = 100
    """Nobody is rolled back for latency before the canary has answered so often while warm: a handful of answers shows the machine's mood."""

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < self.margin:
            raise ValueError(f"tolerance {self.tolerance}, margin {self.margin}: must be positive, the tolerance below the margin")
        for name in ("tail_tolerance", "tail_share_margin"):
            if not 0 < getattr(self, name) <= LARGEST_MARGIN:
                raise ValueError(f"{name} {getattr(self, name)}: must be positive, and at most {LARGEST_MARGIN:g}")
        if self.least_answers < 0:
            raise ValueError(f"least_answers {self.least_answers}: must not be negative")


@dataclass(frozen=True, slots=True)
class MeanPlan:
    """Raw, cumulative counters of a value of the user's: its mean, and how much it varies. None of the values may be negative.

    Each is a PromQL selector, as in `ObjectivePlan.events`. Only the metric source `prometheus` can serve them.
    """

    sum: str
    """The sum of all values so far."""
    count: str
    """How many there were."""
    squares: str = ""
    """The sum of their squares. Where it is not counted, `buckets` or `within` must say how much the values vary at most."""
    buckets: str = ""
    """The buckets of a histogram of the values: a square is at most that of its bucket's bound. The finer they are, the sooner one knows."""
    within: tuple[float, float] | None = None
    """No value lies outside, for example [0, 1]."""

    def __post_init__(self) -> None:
        _parsed(self.selectors)
        if bool(self.squares) + bool(self.buckets or self.within) != 1:
            raise ValueError(
                "squares, buckets, within: must have squares, or else buckets or within: nobody knows how much the values vary without"
            )
        if self.within is not None and not 0 <= self.within[0] < self.within[1]:
            raise ValueError(f"within {list(self.within)}: must be two numbers that rise, the first not negative")

    @property
    def selectors(self) -> Mapping[str, str]:
        """By what they count."""
        every = {"sum": self.sum, "count": self.count, "squares": self.squares, "buckets": self.buckets}
        return {part: text for part, text in every.items() if text or part in ("sum", "count")}


@dataclass(frozen=True, slots=True)
class QualityPlan:
    """The mean of a per-request value, higher is better; relative to the stable's mean."""

    tolerance: float = 0.003
    """Lower by 0.3 % may not cause a rollback."""
    margin: float = 0.010
    """Promotion must exclude that it is 1 % lower."""
    metric: MeanPlan | None = None
    """Prometheus' counters of the value. None: the labels of the plan's `labelled` are its source."""


@dataclass(frozen=True, slots=True)
class ClassesPlan:
    """The share of each predicted class."""

    tolerance: float = 0.05
    """No class may gain more than 5 points."""
    metric: str = ""
    """A PromQL selector of a raw counter of predictions, as in `ObjectivePlan.events`. Empty: the platform counts them itself, or nobody does."""
    label: str = "class"
    """The label of the counter that holds the class."""
    names: tuple[str, ...] = ()
    """The classes to watch, as the label has them, at most MOST_NAMES; all others are watched together."""

    def __post_init__(self) -> None:
        if bool(self.metric) != bool(self.names):
            raise ValueError(f"metric {self.metric!r}, names {list(self.names)}: the counter and the classes in it must be named together")
        if self.metric:
            _parsed({"metric": self.metric})
        if not LABEL.fullmatch(self.label):
            raise ValueError(f"label {self.label!r}: must be letters, digits and _, and not begin with a digit")
        if len(set(self.names)) < len(self.names) or len(self.names) > MOST_NAMES:
            raise ValueError(f"names {list(self.names)[:10]}: must be different, and at most {MOST_NAMES}")


LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
MOST_NAMES = 49
"""With the others together the judge watches fifty."""


@dataclass(frozen=True, slots=True)
class GuardsPlan:
    """Limits against absence and catastrophe. The absence rules spend no alpha; the rows for outage and missing traffic do."""

    outage: float = 0.10
    """Errors 10 points above stable, and twice as many: rolled back from the first window on, without warm-up."""
    least_share: float = 0.30
    """Less than 30 % of the configured share of the traffic reaches the canary: its requests are lost on the way."""
    crash_after: timedelta = seconds(180)
    """The canary alone was unreachable for this long."""
    silence_after: timedelta = seconds(240)
    """The canary answered scrapes but counted no request for this long ..."""
    silence_expected: int = 20
    """... in which this many were to be expected."""
    blind_after: timedelta = seconds(600)
    """Nobody could see the counters, or the guard could not watch, for this long: undecided."""


class ObjectiveKind(StrEnum):
    """What the events of an objective are counted against."""

    RATIO = "ratio"
    """Events of exposures, both counters of the user's."""
    COUNTER = "counter"
    """Events for each request that the model server answered."""
    MEAN = "mean"
    """No events but values: their mean."""


class Direction(StrEnum):
    """Which way is better."""

    LOWER = "lower"
    HIGHER = "higher"


OBJECTIVE_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
MOST_OBJECTIVES = 8
"""They share a fixed part of alpha: the more there are, the longer each takes."""
MOST_SELECTORS = 16
"""Of objectives, quality and classes together: all of them travel in one address."""


@dataclass(frozen=True, slots=True)
class ObjectivePlan:
    """Something of the user's that is counted, canary against stable. Only the metric source `prometheus` can serve it."""

    kind: ObjectiveKind
    events: str = ""
    """A PromQL selector of raw, cumulative counters, for example `my_fallbacks_total{job="serving"}`; the track's labels are added.

    The counters must be there from the start, with 0."""
    exposures: str = ""
    """The same, for `ratio`: what the events are counted of."""
    direction: Direction = Direction.LOWER
    """Which way is better."""
    tolerance: float = 0.10
    """Relative to stable: worse by this may not cause a rollback."""
    margin: float = 0.50
    """Relative to stable: promotion must exclude that it is worse by this."""
    gating: bool = True
    """`false`: a dry run, which is reported and never decides."""
    metric: MeanPlan | None = None
    """For `mean`, instead of events."""

    def __post_init__(self) -> None:
        mean = self.kind is ObjectiveKind.MEAN
        if mean is bool(self.events):
            raise ValueError(f"events {self.events!r}: must be given for kinds `ratio` and `counter`, and not for `mean`")
        if mean is (self.metric is None):
            raise ValueError("metric: is for kind `mean`, which needs it")
        if (self.kind is ObjectiveKind.RATIO) != bool(self.exposures):
            raise ValueError(f"exposures {self.exposures!r}: is for kind `ratio`, which needs it; `counter` counts answered requests")
        _parsed({} if mean else self.selectors)
        most = 1.0 if self.direction is Direction.HIGHER else LARGEST_MARGIN
        if not 0 < self.tolerance < self.margin < most:
            raise ValueError(
                f"tolerance {self.tolerance}, margin {self.margin}: must be positive, the tolerance below the margin, which must be "
                f"below {most:g} where {self.direction} is better"
            )

    @property
    def selectors(self) -> Mapping[str, str]:
        """By what they count: `events`, and `exposures` where they are the user's; of a mean its own."""
        if self.metric:
            return {f"metric.{part}": text for part, text in self.metric.selectors.items()}
        return {"events": self.events, **({"exposures": self.exposures} if self.exposures else {})}


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """How the judge decides: docs/judge.md tells where each number comes from."""

    alpha: float = 0.04
    """The chance of rolling back a healthy canary by its metrics: all stages, criteria and looks together."""
    alpha_promote: float = 0.05
    """The chance, for each margin, of promoting a canary that violates it."""
    minimum_time: timedelta = seconds(600)
    """From the first canary request to promotion: bake time, not statistics."""
    minimum_requests: int = 300
    """Canary requests before promotion."""
    settle: timedelta = seconds(30)
    """The canary's first half minute is its own: errors count from here on."""
    warmup: timedelta = seconds(120)
    """A cold server is slow: latency counts from here on, and again after each restart."""
    warmup_maximum: timedelta = seconds(600)
    """A canary whose latency may still be falling to the tolerance is not convicted of it before; then a cold cache is no excuse any more."""
    freeze_requests: int = 1000
    """Stable requests from which p0 and the latency cells are taken, once."""
    errors: ErrorsPlan = field(default_factory=ErrorsPlan)
    latency: LatencyPlan | None = field(default_factory=LatencyPlan)
    """`none`: the model server exports no latency histogram; the report then says "absent by plan"."""
    quality: QualityPlan | None = None
    classes: ClassesPlan | None = None
    objectives: Mapping[str, ObjectivePlan] | None = None
    """The user's own, by name; docs/judge.md, "Objectives of your own"."""
    guards: GuardsPlan = field(default_factory=GuardsPlan)

    def __post_init__(self) -> None:
        fraction("alpha", self.alpha, 0.5)
        fraction("alpha_promote", self.alpha_promote, 0.5)
        if self.warmup_maximum < self.warmup:
            raise ValueError(f"warmup_maximum {written(self.warmup_maximum)}: must be at least warmup, {written(self.warmup)}")
        if self.objectives is not None and not 0 < len(self.objectives) <= MOST_OBJECTIVES:
            raise ValueError(f"objectives: has {len(self.objectives)}; must be 1 to {MOST_OBJECTIVES}, or be left out")
        if odd := [name for name in self.objectives or () if not OBJECTIVE_NAME.fullmatch(name)]:
            raise ValueError(f"objectives: name {odd[0]!r}: must be a letter, then letters, digits and -, all small, at most 40")
        if len(self.selectors) > MOST_SELECTORS:
            raise ValueError(f"objectives, quality, classes: have {len(self.selectors)} selectors; must be at most {MOST_SELECTORS}")

    @property
    def selectors(self) -> Mapping[str, str]:
        """All counters of the user's that the plan names, by their place in it, for example `objectives.fallbacks.events`."""
        found = {f"objectives.{name}.{part}": text for name, one in (self.objectives or {}).items() for part, text in one.selectors.items()}
        if self.quality and self.quality.metric:
            found |= {f"quality.metric.{part}": text for part, text in self.quality.metric.selectors.items()}
        if self.classes and self.classes.metric:
            found["classes.metric"] = self.classes.metric
        return found

    @property
    def means(self) -> Mapping[str, MeanPlan]:
        """The values of the user's that are averaged, by their place in the plan."""
        found = {f"objectives.{name}.metric": one.metric for name, one in (self.objectives or {}).items() if one.metric}
        return {**found, **({"quality.metric": self.quality.metric} if self.quality and self.quality.metric else {})}


def _parsed(selectors: Mapping[str, str]) -> None:
    """Raises ValueError for the first that is none."""
    for part, text in selectors.items():
        try:
            parse(text)
        except ValueError as error:
            raise ValueError(f"{part} {error}") from error
