"""The release plan: everything that is decided before anything happens.

A plan is a document (YAML or JSON) that the codec turns into these frozen dataclasses. Each default is written
once, here, with its unit and its reason; other texts refer to the field. Ratios are fractions (0.10 is 10 %),
times are written `30s`, `5m`, `1h` or as a number of seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tfcanary.selector import parse

MAX_STAGES = 5
"""How many stages the compiled graph has room for: 60 pods at most."""


LONGEST_STAGE = timedelta(days=7)
"""A week of traffic. The compiled pipeline ends a step that watches after eight days."""


def seconds(number: float) -> timedelta:
    """Short for the defaults below."""
    return timedelta(seconds=number)


def _fraction(name: str, value: float, high: float = 1.0) -> None:
    if not 0 < value <= high:
        raise ValueError(f"{name} {value}: must be above 0 and at most {high:g}")


class OnUndecided(StrEnum):
    """What a stage that could not decide in its maximum time means."""

    ROLLBACK = "rollback"
    PROMOTE = "promote"
    """Somebody takes the risk of too few requests. It never covers a criterion that had no data at all: that is a rollback."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """How long each stage is watched."""

    minimum: timedelta = seconds(300)
    """At least this long at each weight, whatever the evidence."""
    maximum: timedelta = seconds(3600)
    """Undecided after this long, the stage ends as `on_undecided` says."""
    poll: timedelta = seconds(10)
    """Time between two looks; not shorter than the scrape interval of the metric source."""
    on_undecided: OnUndecided = OnUndecided.ROLLBACK
    """A canary that could not be shown to be good is not promoted, unless the plan says so."""

    def __post_init__(self) -> None:
        if self.maximum > LONGEST_STAGE:
            raise ValueError(f"maximum {self.maximum}: must be at most {LONGEST_STAGE}, for the pod of a watch ends a day later")
        if not seconds(0) < self.poll <= self.minimum <= self.maximum:
            raise ValueError(f"poll {self.poll}, minimum {self.minimum}, maximum {self.maximum}: must be positive and rise in this order")


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


@dataclass(frozen=True, slots=True)
class LatencyPlan:
    """How long answered requests take, canary against stable, on the server's own histogram."""

    tolerance: float = 0.03
    """Slower by 3 % as a whole may not cause a rollback."""
    margin: float = 0.10
    """Promotion must exclude that it is 10 % slower as a whole."""
    tail_tolerance: float = 0.08
    """The same for the slowest 3 % and 1 %, which are watched on their own."""
    tail_margin: float = 0.25
    """A tail is rarer than the bulk: what can be excluded in reasonable time is larger."""

    def __post_init__(self) -> None:
        for low, high, name in ((self.tolerance, self.margin, ""), (self.tail_tolerance, self.tail_margin, "tail_")):
            if not 0 < low < high:
                raise ValueError(f"{name}tolerance {low}, {name}margin {high}: must be positive, the tolerance below the margin")


@dataclass(frozen=True, slots=True)
class QualityPlan:
    """The mean of a per-request value, higher is better; relative to the stable's mean."""

    tolerance: float = 0.003
    margin: float = 0.010


@dataclass(frozen=True, slots=True)
class ClassesPlan:
    """The share of each predicted class."""

    tolerance: float = 0.05
    """No class may gain more than 5 points."""


@dataclass(frozen=True, slots=True)
class GuardsPlan:
    """What acts on absence and catastrophe. Guards spend no alpha, but for outage and missing traffic."""

    outage: float = 0.10
    """Errors 10 points above stable, and twice as many: convicts from the first window, without warm-up."""
    least_share: float = 0.30
    """Less than 30 % of the configured share of the traffic reaches the canary: its requests are lost on the way."""
    crash_after: timedelta = seconds(180)
    """The canary alone was unreachable for this long."""
    silence_after: timedelta = seconds(240)
    """The canary answered scrapes but counted no request for this long ..."""
    silence_expected: int = 20
    """... in which this many were to be expected."""


class ObjectiveKind(StrEnum):
    """What the events of an objective are counted against."""

    RATIO = "ratio"
    """Events of exposures, both counters of the user's."""
    COUNTER = "counter"
    """Events for each request that the model server answered."""


class Direction(StrEnum):
    """Which way is better."""

    LOWER = "lower"
    HIGHER = "higher"


OBJECTIVE_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
MOST_OBJECTIVES = 8
"""They share a fixed part of alpha: the more there are, the longer each takes."""
LARGEST_MARGIN = 100.0
"""Nobody means to allow more than a hundredfold."""


@dataclass(frozen=True, slots=True)
class ObjectivePlan:
    """Something of the user's that is counted, canary against stable. Only the metric source `prometheus` can serve it."""

    kind: ObjectiveKind
    events: str
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

    def __post_init__(self) -> None:
        if (self.kind is ObjectiveKind.RATIO) != bool(self.exposures):
            raise ValueError(f"exposures {self.exposures!r}: is for kind `ratio`, which needs it; `counter` counts answered requests")
        for part, text in self.selectors.items():
            try:
                parse(text)
            except ValueError as error:
                raise ValueError(f"{part} {error}") from error
        most = 1.0 if self.direction is Direction.HIGHER else LARGEST_MARGIN
        if not 0 < self.tolerance < self.margin < most:
            raise ValueError(
                f"tolerance {self.tolerance}, margin {self.margin}: must be positive, the tolerance below the margin, which must be "
                f"below {most:g} where {self.direction} is better"
            )

    @property
    def selectors(self) -> Mapping[str, str]:
        """By what they count: `events`, and `exposures` where they are the user's."""
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
        _fraction("alpha", self.alpha, 0.5)
        _fraction("alpha_promote", self.alpha_promote, 0.5)
        if self.objectives is not None and not 0 < len(self.objectives) <= MOST_OBJECTIVES:
            raise ValueError(f"objectives: has {len(self.objectives)}; must be 1 to {MOST_OBJECTIVES}, or be left out")
        if odd := [name for name in self.objectives or () if not OBJECTIVE_NAME.fullmatch(name)]:
            raise ValueError(f"objectives: name {odd[0]!r}: must be a letter, then letters, digits and -, all small, at most 40")


@dataclass(frozen=True, slots=True)
class PredictionsPlan:
    """The same requests to both tracks, at weight 0, before any user sees the candidate."""

    source: str
    """Requests to send: a file or `gs://` URI (JSONL, Parquet, PredictionLog), or `log` for the stable's own request log."""
    limit: int = 500
    """Requests to send at most, to each track."""
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
        _fraction("accuracy_margin", self.accuracy_margin)
        _fraction("alpha", self.alpha, 0.5)
        if self.limit < 1 or self.rate <= 0:
            raise ValueError(f"limit {self.limit}, rate {self.rate}: must be positive")


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

    def __post_init__(self) -> None:
        _fraction("alpha", self.alpha, 0.5)
        if not 0 < self.warn <= self.fail <= 1:
            raise ValueError(f"warn {self.warn}, fail {self.fail}: must be positive, rise, and be at most 1")
        if negative := [name for name, weight in self.importance.items() if not weight >= 0]:
            raise ValueError(f"importance {self.importance[negative[0]]} of {negative[0]!r}: must not be negative")


@dataclass(frozen=True, slots=True)
class LabelledPlan:
    """How good the answers were, once labels are known: canary against stable."""

    labels: str
    """Labels by the id of a request: a file or `gs://` URI in any form that drift reads, with columns `id` and `label`."""
    source: str = "log"
    """The answered requests, as in `drift.source`; each needs its id."""
    slices: tuple[str, ...] = ()
    """Inputs, or columns beside the labels, whose values divide the requests; each slice is judged on its own."""
    margin: float = 0.02
    """The canary's accuracy may lie this much below stable's, in each slice."""
    alpha: float = 0.05
    """The chance of ever being wrong in any slice, however often one looks."""

    def __post_init__(self) -> None:
        _fraction("margin", self.margin)
        _fraction("alpha", self.alpha, 0.5)


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

    A request's label, where it has one, is the answer that is expected: of the only output, or of the first by name."""
    golden_tolerance: float = 0.001
    """How far a number may lie from its label, relative to the label. Texts and whole numbers must be equal."""
    slower: float = 1.5
    """The candidate's latency in the trial, as a multiple of stable's, from which on the report warns: a trial is no load test."""
    larger: float = 1.5
    """The same for its peak memory beyond TensorFlow's own."""

    def __post_init__(self) -> None:
        if self.timeout <= seconds(0) or self.memory_mib < 1 or not self.batches or min(self.batches) < 1 or max(self.batches) > 4096:
            raise ValueError("timeout and memory_mib must be positive, and batches at least one number from 1 to 4,096")
        if self.golden_tolerance < 0 or self.slower <= 0 or self.larger <= 0:
            raise ValueError("golden_tolerance must not be negative; slower and larger must be positive")


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """How the canary comes up."""

    ready_timeout: timedelta = seconds(600)
    """Until every server says AVAILABLE for the very version."""
    warm_timeout: timedelta = seconds(120)
    """Until latency is flat under sample requests; not flat by then is a finding, not a failure."""
    handover: timedelta = seconds(300)
    """How long the canary may keep its traffic between two steps, watched by the guard: a pod chain starts in about a minute."""
    lease: timedelta = seconds(60)
    """A watcher renews this at every poll; where it does not, the guard puts the weight to 0."""
    heartbeat: timedelta = seconds(60)
    """A guard that has not been heard of for this long is dead; no weight is raised without a live one."""
    keep_previous: timedelta = seconds(3600)
    """After a promotion the previous version's servers stay for this long; the guard removes them, or the next release does."""


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """Where versions lie. On the local platform both default to its state folder."""

    canary: str = ""
    """`gs://bucket/prefix`, or a directory that steps and servers share: the candidate is pushed to <canary>/<model name>/<version>.

    Required on a cluster."""
    stable: str = ""
    """If given, promotion copies the version there and verifies it."""
    keep: int = 3
    """Versions that stay after a promotion."""


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """Where counters come from."""

    source: str = ""
    """`scrape` (the servers' own pages), or `prometheus`. Default: `scrape` locally, `prometheus` on a cluster."""
    url: str = ""
    """Prometheus' address, for example http://prometheus.monitoring:9090."""
    pod_label: str = "pod"
    """The label that tells servers apart."""
    selectors: dict[str, str] = field(default_factory=dict)
    """Further labels that select this model's series, name to value."""
    namespace_label: str = "namespace"
    """On a cluster: the label that holds a server's namespace; empty: Prometheus sees one namespace only."""
    timeout: timedelta = seconds(10)
    """For one question, retries included."""


class RouterKind(StrEnum):
    """Who divides the requests on a cluster."""

    GATEWAY = "gateway"
    """Gateway API: the weights of an HTTPRoute."""
    ISTIO = "istio"
    """The weights of a VirtualService."""
    NGINX = "nginx"
    """The canary annotations of an Ingress."""
    REPLICAS = "replicas"
    """No proxy: one Service over both tracks, divided by the number of pods."""


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """How users' requests reach the model on a cluster. The local platform always has its Envoy."""

    router: RouterKind = RouterKind.GATEWAY
    gateway: str = ""
    """The Gateway (Istio: the gateway; nginx: the ingress class) that takes users' requests: `name` or `namespace/name`.

    Required where the route does not exist yet, but for `replicas`."""
    route: str = ""
    """The name of the HTTPRoute, VirtualService or Ingress. Default: the model's name."""
    hostnames: tuple[str, ...] = ()
    """The host names that users call. Default: any."""


class ServiceType(StrEnum):
    """What the Services of the tracks are."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


IMAGE = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """The model servers on a cluster."""

    image: str = ""
    """TF Serving's image, pinned: `<repository>@sha256:<digest>`. Required on a cluster: a tag may be another server tomorrow."""
    replicas: int = 1
    """Pods of the stable track after a first release; later ones keep as many as stable has at their promotion, and at least these."""
    canary_replicas: int = 1
    """Pods of the canary before its promotion: enough for the largest of `weights` but the last step to 100 %."""
    cpu: str = "1"
    """Requested for each pod, as Kubernetes writes it; also TensorFlow's threads, for it does not see the quota."""
    memory: str = "2Gi"
    """Requested for each pod, and its limit."""
    batching: str = ""
    """BatchingParameters as text; empty: no batching. With it latency depends on traffic: a canary fills its batches worse."""
    service_type: ServiceType = ServiceType.CLUSTER_IP
    pod_patch: Mapping[str, object] = field(default_factory=dict)
    """Strategic-merge patch for the pod template: GPUs, node pools, service account, image pull secrets."""

    def __post_init__(self) -> None:
        if self.image and not IMAGE.fullmatch(self.image):
            raise ValueError(f"image {self.image!r}: must be pinned by digest, for example registry/tensorflow-serving@sha256:<64 digits>")
        if self.replicas < 1 or self.canary_replicas < 1:
            raise ValueError(f"replicas {self.replicas}, canary_replicas {self.canary_replicas}: must be at least 1")


@dataclass(frozen=True, slots=True)
class GuardPodPlan:
    """The guard on a cluster: it watches whenever no step does."""

    installed: bool = False
    """`true`: an administrator runs one for the namespace (deploy/guard); by default each release has a small Deployment of its own."""
    image: str = ""
    """tfcanary's own image. Default: the one that the step runs in."""
    service_account: str = "tfcanary-guard"


@dataclass(frozen=True, slots=True)
class Plan:
    """A release, decided beforehand. The smallest useful one is examples/plan.yaml."""

    weights: tuple[int, ...] = (5, 25, 50)
    """The canary's share at each stage, in whole percent, not falling; at most MAX_STAGES of them."""
    bootstrap: bool = False
    """`true`: there is no stable version yet, deploy this one at 100 %. Refused where there is one."""
    stage: StagePlan = field(default_factory=StagePlan)
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
    traffic: TrafficPlan = field(default_factory=TrafficPlan)
    guard: GuardPodPlan = field(default_factory=GuardPodPlan)
    adopt: bool = False
    """`true`: take over a Service or route of these names that was not made by tfcanary. `tfcanary plan --diff` shows what changes."""
    training_data: str = ""
    """URI of what the candidate was trained on: copied into the verdict's metadata, never opened."""

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("weights: must name at least one stage")
        if len(self.weights) > MAX_STAGES:
            raise ValueError(f"weights {list(self.weights)}: {len(self.weights)} stages; at most {MAX_STAGES} fit into the graph")
        if any(not 0 <= w <= 100 for w in self.weights):
            raise ValueError(f"weights {list(self.weights)}: each must be a whole percent from 0 to 100")
        if list(self.weights) != sorted(self.weights):
            raise ValueError(f"weights {list(self.weights)}: must not fall from one stage to the next")
        if self.weights[-1] == 0:
            raise ValueError("weights: the last stage must send traffic to the canary, else nothing can be judged")
        if self.deploy.lease <= 2 * self.stage.poll:
            raise ValueError(f"deploy.lease {self.deploy.lease}: must be more than two polls ({self.stage.poll} each)")

    def is_last(self, stage: int) -> bool:
        """Whether promotion, not advancing, is the good end of this stage."""
        return stage >= len(self.weights) - 1
