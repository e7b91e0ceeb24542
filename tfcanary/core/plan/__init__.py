"""The release plan: everything that is decided before anything happens.

A plan is a document (YAML or JSON) that the codec turns into these frozen dataclasses. Each default is written
once, in this folder, with its unit and its reason; other texts refer to the field. Ratios are fractions (0.10 is 10 %),
times are written `30s`, `5m`, `1h` or as a number of seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tfcanary.core.domain import Traffic
from tfcanary.core.durations import written
from tfcanary.core.plan.cluster import (
    BucketPlan,
    DeployPlan,
    Entrance,
    GuardPodPlan,
    MetricsPlan,
    ScalingPlan,
    ServiceType,
    ServingPlan,
    TrafficPlan,
)
from tfcanary.core.plan.gates import DriftPlan, LabelledPlan, PredictionsPlan, ShareLimits, ValidationPlan
from tfcanary.core.plan.judge import (
    ClassesPlan,
    Direction,
    ErrorsPlan,
    GuardsPlan,
    JudgePlan,
    LatencyPlan,
    MeanPlan,
    ObjectiveKind,
    ObjectivePlan,
    QualityPlan,
)
from tfcanary.core.plan.receivers import MOST_RECEIVERS, NoticeFormat, NotifyPlan, Occasion
from tfcanary.core.plan.stage_times import LONGEST_STAGE, MAX_STAGES, Approval, OnUndecided, StagePlan, WaitingPolicy, seconds
from tfcanary.core.plan.weights import OWN, Decode, Ramp, Stage, expanded
from tfcanary.core.plan.windows import LONGEST_CLOSED, Day, FreezePlan, WindowPlan, check_closed, closes, next_rise, on_the_clock

__all__ = [
    "LONGEST_CLOSED",
    "LONGEST_STAGE",
    "MAX_STAGES",
    "MOST_RECEIVERS",
    "MOST_WITH_BASELINE",
    "Approval",
    "BucketPlan",
    "ClassesPlan",
    "Day",
    "DeployPlan",
    "Direction",
    "DriftPlan",
    "Entrance",
    "ErrorsPlan",
    "FreezePlan",
    "GuardPodPlan",
    "GuardsPlan",
    "JudgePlan",
    "LabelledPlan",
    "LatencyPlan",
    "MeanPlan",
    "MetricsPlan",
    "NoticeFormat",
    "NotifyPlan",
    "ObjectiveKind",
    "ObjectivePlan",
    "Occasion",
    "OnUndecided",
    "Plan",
    "PredictionsPlan",
    "QualityPlan",
    "Ramp",
    "ScalingPlan",
    "ServiceType",
    "ServingPlan",
    "ShareLimits",
    "Stage",
    "StagePlan",
    "StageServers",
    "TrafficPlan",
    "ValidationPlan",
    "WaitingPolicy",
    "WindowPlan",
    "seconds",
]

MOST_WITH_BASELINE = 50
"""The largest weight, in percent, at which a baseline gets as much as the canary."""


@dataclass(frozen=True, slots=True)
class StageServers:
    """How many servers each track has at one stage, at least."""

    weight: int
    """The canary's share in percent."""
    stable: int
    canary: int
    baseline: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A release, decided beforehand. The smallest useful one is examples/plan.yaml."""

    weights: tuple[int, ...] = (5, 25, 50)
    """The canary's share at each stage, in whole percent, not falling; at most MAX_STAGES of them. Also a ramp, or a list of stages."""
    stages: tuple[Stage, ...] = ()
    """What `weights` became where it lists stages that have values of their own: one for each weight. Nobody needs to write it."""
    bootstrap: bool = False
    """`true`: there is no stable version yet, deploy this one at 100 %. Refused where there is one."""
    stage: StagePlan = field(default_factory=StagePlan)
    windows: tuple[WindowPlan, ...] = ()
    """When weights may rise, promotion included; at any time where there is none. A rollback may always."""
    freeze: tuple[FreezePlan, ...] = ()
    """When no weight rises, whatever `windows` say."""
    override_window: str = ""
    """Why this release may raise weights outside `windows` and in a `freeze`: the record keeps the reason. `tfcanary override-window` says it later."""
    judge: JudgePlan = field(default_factory=JudgePlan)
    validation: ValidationPlan = field(default_factory=ValidationPlan)
    predictions: PredictionsPlan | None = None
    """None: no comparison at weight 0; the report says "absent by plan"."""
    drift: DriftPlan | None = None
    """None: no drift evaluation; the report says "absent by plan"."""
    labelled: LabelledPlan | None = None
    """None: no labels arrive; `evaluate_quality` then says "absent by plan"."""
    deploy: DeployPlan = field(default_factory=DeployPlan)
    bucket: BucketPlan = field(default_factory=BucketPlan)
    metrics: MetricsPlan = field(default_factory=MetricsPlan)
    serving: ServingPlan = field(default_factory=ServingPlan)
    scaling: ScalingPlan | None = None
    """None: versions have no autoscaler."""
    traffic: TrafficPlan = field(default_factory=TrafficPlan)
    guard: GuardPodPlan = field(default_factory=GuardPodPlan)
    waiting: WaitingPolicy = WaitingPolicy.NEWEST
    """What happens to candidates that triggers offer while a release is active; see docs/triggers.md."""
    notify: tuple[NotifyPlan, ...] = ()
    """Who is told how the release ends; at most MOST_RECEIVERS. docs/notifications.md."""
    adopt: bool = False
    """`true`: take over a Service or route of these names that was not made by tfcanary. `tfcanary plan --diff` shows what changes."""
    training_data: str = ""
    """URI of what the candidate was trained on: copied into the verdict's metadata, never opened."""
    commit: str = ""
    """The commit of the code that trained the candidate: told wherever the candidate is named."""
    training_run: str = ""
    """The run that trained the candidate, as its own system names it: told wherever the candidate is named."""

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("weights: must name at least one stage")
        if len(self.weights) > MAX_STAGES:
            raise ValueError(f"weights {list(self.weights)}: {len(self.weights)} stages; at most {MAX_STAGES} fit into the graph")
        if any(not 0 <= w < 100 for w in self.weights):
            raise ValueError(
                f"weights {list(self.weights)}: each must be a whole percent from 0 to 99; at 100 nothing is left to compare with, "
                "and the promotion after the last stage gives the candidate everything"
            )
        if list(self.weights) != sorted(self.weights):
            raise ValueError(f"weights {list(self.weights)}: must not fall from one stage to the next")
        self._check_stages()
        check_closed(self.windows, self.freeze)
        if self.weights[-1] == 0:
            raise ValueError("weights: the last stage must send traffic to the canary, else nothing can be judged")
        if len(self.notify) > MOST_RECEIVERS:
            raise ValueError(f"notify: has {len(self.notify)} receivers; at most {MOST_RECEIVERS} are told")
        if self.deploy.baseline and not any(self.traffic_at(weight).baseline for weight in self.weights):
            raise ValueError(f"deploy.baseline: has no stage in weights {list(self.weights)}; one must be from 1 to {MOST_WITH_BASELINE} %")
        if self.scaling and self.traffic.divides_by_servers:
            raise ValueError(
                f"scaling, traffic.router {self.traffic.router!r}: exclude each other; with this router the number of pods is the share"
            )
        quality = self.judge.quality
        if quality and (quality.metric is None) is (self.labelled is None):
            raise ValueError("judge.quality: needs one source of its values: `labelled`, or `judge.quality.metric`")
        if self.deploy.lease <= 2 * self.stage.poll:
            raise ValueError(f"deploy.lease {written(self.deploy.lease)}: must be more than two polls ({written(self.stage.poll)} each)")
        if self.deploy.heartbeat < 2 * self.stage.poll:
            raise ValueError(
                f"deploy.heartbeat {written(self.deploy.heartbeat)}: must be at least two polls ({written(self.stage.poll)} each)"
            )

    @property
    def least_of_stable(self) -> int:
        """The least servers of the version that serves."""
        return self.scaling.min if self.scaling else self.serving.replicas

    def _check_stages(self) -> None:
        """Raises ValueError where `stages` are not those of `weights`, or the values of a stage do not fit together."""
        if self.stages and tuple(one.weight for one in self.stages) != self.weights:
            of_stages = [one.weight for one in self.stages]
            raise ValueError(f"stages: have the weights {of_stages}; must be those of weights {list(self.weights)}, or be left out")
        for number in range(len(self.stages)):
            try:
                self.times(number)
            except ValueError as error:
                raise ValueError(f"weights[{number}]: {error}") from error

    @staticmethod
    def expanded(document: Mapping[str, Any], at: str, decode: Decode) -> Mapping[str, Any]:
        """The document with every short form written out, which the codec asks for; `at` is its path. Raises Refused."""
        return expanded(document, at, decode)

    def times(self, stage: int) -> StagePlan:
        """How a stage is watched: the plan's `stage` with what this stage has of its own."""
        if not 0 <= stage < len(self.stages):
            return self.stage
        own = self.stages[stage]
        there = {name: value for name in OWN if (value := getattr(own, name)) is not None}
        return replace(self.stage, **there)

    def at_stage(self, stage: int) -> Plan:
        """The plan as it is in force at a stage: its `stage` is that of this stage."""
        return replace(self, stage=self.times(stage), stages=())

    @property
    def has_windows(self) -> bool:
        """Whether there are times at which no weight may rise."""
        return bool(self.windows or self.freeze)

    def on_the_clock(self, at: datetime) -> str:
        """An instant as people read it, on the clock of the plan's first window or freeze: `Mon 2026-12-07 09:00 CET`."""
        return on_the_clock(at, self.windows, self.freeze)

    def next_rise(self, at: datetime) -> datetime:
        """The first instant from `at` on at which a weight may rise: `at` itself where it may now."""
        return next_rise(self.windows, self.freeze, at)

    def closes(self, at: datetime) -> datetime | None:
        """Until when weights may rise that may rise at `at`; None where nothing ends it within two weeks."""
        return closes(self.windows, self.freeze, at)

    def traffic_at(self, weight: int) -> Traffic:
        """The traffic at a weight of the canary: the baseline, if there is one, gets as much where both fit."""
        return Traffic(canary=weight, baseline=weight if self.deploy.baseline and weight <= MOST_WITH_BASELINE else 0)

    def servers_at(self, stable: int) -> tuple[StageServers, ...]:
        """The servers of each stage beside so many of stable, by their load; of a router that divides by servers only the router knows them."""
        sizes = ((weight, self.serving.canary_servers(weight, stable)) for weight in self.weights)
        return tuple(StageServers(weight, stable, size, size if self.traffic_at(weight).baseline else 0) for weight, size in sizes)

    def asks(self, stage: int) -> bool:
        """Whether a stage that went well waits for a person's approval."""
        approval = self.times(stage).approval
        return approval is Approval.EVERY or (approval is Approval.PROMOTION and self.is_last(stage))

    def rises_after(self, stage: int) -> bool:
        """Whether the good end of a stage is followed by a larger weight: that of the next stage, or the promotion's."""
        return self.is_last(stage) or self.weights[stage + 1] > (self.weights[stage] if stage >= 0 else 0)

    def is_last(self, stage: int) -> bool:
        """Whether promotion, not advancing, is the good end of this stage."""
        return stage >= len(self.weights) - 1
