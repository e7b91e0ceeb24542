"""The parts of a plan about where servers run, where versions lie, and how requests and counters get there and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tfcanary.core.plan.stage_times import seconds


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
    """How long a watch that does not renew its hold keeps it; then the guard rolls back. The watch renews it every third."""
    heartbeat: timedelta = seconds(60)
    """Every third of this the guard says that it can watch; no weight is raised before it has said so once more."""
    keep_previous: timedelta = seconds(3600)
    """After a promotion the previous version's servers stay for this long; the guard removes them, or the next release does."""

    def __post_init__(self) -> None:
        if not seconds(0) < self.lease <= self.handover:
            raise ValueError(f"lease {self.lease}, handover {self.handover}: must be positive, and the handover at least the lease")
        if (
            self.heartbeat <= seconds(0)
            or self.keep_previous < seconds(0)
            or self.ready_timeout <= seconds(0)
            or self.warm_timeout < seconds(0)
        ):
            raise ValueError("heartbeat, ready_timeout: must be positive; keep_previous, warm_timeout: must not be negative")


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

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep {self.keep}: must be at least 1, for the stable version stays")


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


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """How users' requests reach the model on a cluster. The local platform always has its Envoy."""

    router: str = "gateway"
    """The router that divides users' requests: `gateway` (Gateway API: the weights of an HTTPRoute), `istio` (the weights of a VirtualService),
    `nginx` (the canary annotations of an Ingress), or `replicas` (no proxy: one Service over both tracks, divided by the number of pods).

    Another word is refused when the platform is opened."""
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
    """Of the tracks' Services, as Kubernetes calls it."""
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
    """As whom it runs; deploy/ makes this one, with its rights."""
    ready_timeout: timedelta = seconds(300)
    """Until its first beat: a cold node pulls the image first."""
