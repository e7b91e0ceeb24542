"""The parts of a plan about where servers run, where versions lie, and how requests and counters get there and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tfcanary.core.durations import written
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
    baseline: bool = False
    """`true`: fresh servers of the stable version come up beside the canary's, as many and as old, and get the same share at every weight
    of up to 50 %. Latency is compared with them: a server that gets fewer requests than stable's is slower for that alone.

    The router must be able to weigh three tracks: `gateway`, `istio`, or the local platform's."""
    keep_previous: timedelta = seconds(3600)
    """After a promotion the previous version's servers stay for this long; the guard removes them, or the next release does."""

    def __post_init__(self) -> None:
        if not seconds(0) < self.lease <= self.handover:
            raise ValueError(
                f"lease {written(self.lease)}, handover {written(self.handover)}: must be positive, and the handover at least the lease"
            )
        if (
            self.heartbeat <= seconds(0)
            or self.keep_previous < seconds(0)
            or self.ready_timeout <= seconds(0)
            or self.warm_timeout < seconds(0)
        ):
            raise ValueError("heartbeat, ready_timeout: must be positive; keep_previous, warm_timeout: must not be negative")


MOST_RELEASES = 40
"""Fewer than the record's history has lines: what is older is removed while the history still names it."""


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """Where versions lie. On the local platform both default to its state folder."""

    canary: str = ""
    """`gs://bucket/prefix`, `s3://bucket/prefix`, or a directory that steps and servers share: the candidate is pushed to
    <canary>/<model name>/<version>.

    Required on a cluster. TensorFlow Serving reads no `s3://`: there an init container of each server's pod copies the version, with the
    credentials of the Secret `tfcanary-s3`. A directory is a volume that `serving.pod_patch` mounts there."""
    stable: str = ""
    """If given, promotion copies the version there and verifies it."""
    keep: int = 3
    """Versions that stay after a promotion."""
    keep_releases: int = 20
    """Ended releases whose judge's states and polls stay, for `tfcanary replay` and pages; the claims of removed versions stay as long."""

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep {self.keep}: must be at least 1, for the stable version stays")
        if not 1 <= self.keep_releases <= MOST_RELEASES:
            raise ValueError(f"keep_releases {self.keep_releases}: must be from 1 to {MOST_RELEASES}; the record remembers a few more")


S3_SECRET = "tfcanary-s3"
"""The Secret whose key `config` is AWS's configuration for S3: endpoint, region and credentials ..."""
S3_SECRETS = "/etc/tfcanary/s3"
"""... and where every pod that reads or writes a bucket mounts it from its own namespace, where it exists."""
METRICS_SECRET = "tfcanary-metrics"
"""The Secret whose keys are the credentials of Prometheus ..."""
METRICS_SECRETS = "/etc/tfcanary/metrics"
"""... and where the pods of the guard, and of the steps that ask Prometheus, mount it from their own namespace, where it exists."""
SIGNING_SECRET = "tfcanary-signing"
"""The Secret whose key `key.pem` is the private key with which verdicts are signed ..."""
SIGNING_SECRETS = "/etc/tfcanary/signing"
"""... and where the pod of the step that promotes, and no other, mounts it from its own namespace, where it exists."""
NO_SECRET = "the plan is kept in the record and shown to people: name a file that holds it"
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """Where counters come from."""

    source: str = ""
    """`scrape` (the servers' own pages), or `prometheus`. Default: `scrape` locally, `prometheus` on a cluster."""
    url: str = ""
    """Prometheus' address, for example http://prometheus.monitoring:9090; without a user name and a password."""
    token_file: str = ""
    """The absolute path of a file with a bearer token for Prometheus. In the pods of a cluster it lies below METRICS_SECRETS, or is the
    service account's. Like the other files here it is read again whenever it is needed."""
    username: str = ""
    """The user name of HTTP basic authentication at Prometheus; needs `password_file`."""
    password_file: str = ""
    """The absolute path of a file with the password of `username`."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further HTTP headers of each query that are no secrets, name to value, for example the tenant: `X-Scope-OrgID: team-a`."""
    ca_file: str = ""
    """The absolute path of the PEM certificates by which Prometheus' certificate is checked. Default: the public authorities."""
    certificate_file: str = ""
    """The absolute path of a client certificate (PEM) for Prometheus, with its key unless `key_file` is given."""
    key_file: str = ""
    """The absolute path of the client certificate's private key (PEM)."""
    pod_label: str = "pod"
    """The label that tells servers apart."""
    selectors: dict[str, str] = field(default_factory=dict)
    """Further labels that select this model's series, name to value."""
    namespace_label: str = "namespace"
    """On a cluster: the label that holds a server's namespace; empty: Prometheus sees one namespace only."""
    timeout: timedelta = seconds(10)
    """For one query, retries included."""

    def __post_init__(self) -> None:
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            raise ValueError(f"url: has a user name or a password in it; {NO_SECRET}, in `username` and `password_file`")
        for name, path in self.files.items():
            if not path.startswith("/"):
                raise ValueError(f"{name} {path!r}: must be an absolute path, for example {METRICS_SECRETS}/{name.removesuffix('_file')}")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username, password_file: must be given together")
        if self.username and self.token_file:
            raise ValueError("token_file, username: at most one of them can be given")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file: needs `certificate_file`")
        for header, value in self.headers.items():
            _check_header(header, value)

    @property
    def files(self) -> dict[str, str]:
        """The fields that name a file, with its path."""
        names = ("token_file", "password_file", "ca_file", "certificate_file", "key_file")
        return {name: path for name in names if (path := getattr(self, name))}


def _check_header(name: str, value: str) -> None:
    if not HEADER.fullmatch(name):
        raise ValueError(f"headers {name!r}: is not the name of an HTTP header")
    if name.lower() in SECRET_HEADERS:
        raise ValueError(f"headers {name}: holds a secret; {NO_SECRET}, in `token_file` or `password_file`")
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ValueError(f"headers {name}: must have printable ASCII characters, without spaces at either end")


class Entrance(StrEnum):
    """A protocol in which users' requests come in; a model server has a port for each."""

    REST = "rest"
    """TensorFlow Serving's REST API, port 8501."""
    GRPC = "grpc"
    """TensorFlow Serving's `PredictionService` and `ModelService`, port 8500."""


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
    entrances: tuple[Entrance, ...] = ()
    """The protocols that users speak: `rest`, `grpc`. All have the same shares, which are written at once.

    Default: both, but for `nginx`, which divides REST alone. On an adopted route: those for which it has a rule. With `replicas` the Service has
    the ports of both in any case."""

    def __post_init__(self) -> None:
        if len({*self.entrances}) < len(self.entrances):
            raise ValueError(f"entrances {[one.value for one in self.entrances]}: must name each once")

    @property
    def divides_by_servers(self) -> bool:
        """Whether the number of the canary's servers makes its share: then the router alone changes it."""
        return self.router == "replicas"


class ServiceType(StrEnum):
    """What the Services of the tracks are."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


SAME_LOAD = 50
"""The weight, in percent, from which on the canary has as many servers as stable, whatever is left for stable's."""
SPREAD = ("maxSkew", "topologyKey", "whenUnsatisfiable")
"""What Kubernetes asks of each topology spread constraint."""
IMAGE = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """The model servers on a cluster."""

    image: str = ""
    """TF Serving's image, pinned: `<repository>@sha256:<digest>`. Required on a cluster: a tag may be another server tomorrow."""
    replicas: int = 1
    """Pods of the stable track after a first release; later ones keep as many as stable has at their promotion, and at least these."""
    canary_replicas: int = 1
    """The least number of the canary's pods. Before each rise of its share it gets as many as carry no more each than stable's do, and from
    50 % on as many as stable has; under the router `replicas` their number is the share."""
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
    topology_spread: tuple[Mapping[str, object], ...] = ()
    """How pods spread over zones or nodes: topology spread constraints as Kubernetes writes them, for example
    `{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}`.

    Without a `labelSelector` a constraint counts the pods of one version."""

    def __post_init__(self) -> None:
        if self.image and not IMAGE.fullmatch(self.image):
            raise ValueError(f"image {self.image!r}: must be pinned by digest, for example registry/tensorflow-serving@sha256:<64 digits>")
        if self.replicas < 1 or self.canary_replicas < 1:
            raise ValueError(f"replicas {self.replicas}, canary_replicas {self.canary_replicas}: must be at least 1")
        for number, one in enumerate(self.topology_spread):
            if lacking := [name for name in SPREAD if name not in one]:
                raise ValueError(f"topology_spread[{number}]: lacks {', '.join(lacking)}; each constraint has {', '.join(SPREAD)}")

    def canary_servers(self, weight: int, stable: int) -> int:
        """The servers of the canary at a weight in percent beside so many of stable: none of them carries more than stable's do."""
        # In whole numbers: a quotient that is rounded twice can ask for a server too many.
        same_load = -(-stable * weight // (100 - weight)) if weight < SAME_LOAD else stable
        return max(same_load, self.canary_replicas)


DISABLED = "Disabled"
"""The `selectPolicy` by which Kubernetes' autoscaler makes a pool no smaller."""


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """The autoscaler of each version's pods on a cluster: a HorizontalPodAutoscaler that is made and removed with the Deployment.

    tfcanary sets its least number of pods, and never the number itself: the canary's from its weight, and of stable `min`. While a release
    may be rolled back, stable's pods do not become fewer.
    """

    max: int
    """The most pods of a version."""
    min: int = 1
    """The least pods of the version that serves, in place of `serving.replicas`."""
    metrics: tuple[Mapping[str, object], ...] = ()
    """What is scaled by, as Kubernetes writes metrics of `autoscaling/v2`. Default: Kubernetes' own, 80 % of the requested CPU."""
    behavior: Mapping[str, object] = field(default_factory=dict)
    """How quickly, as Kubernetes writes it; without `scaleDown.selectPolicy`, which a release sets."""

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.max:
            raise ValueError(f"min {self.min}, max {self.max}: must be at least 1 and rise in this order")
        down = self.behavior.get("scaleDown")
        if isinstance(down, Mapping) and "selectPolicy" in down:
            raise ValueError("behavior.scaleDown.selectPolicy: is what a release sets while it may be rolled back; leave it out")


@dataclass(frozen=True, slots=True)
class GuardPodPlan:
    """The guard on a cluster: it watches whenever no step does."""

    installed: bool = False
    """`true`: an administrator runs one for the namespace (deploy/guard); by default each release has a small Deployment of its own."""
    image: str = ""
    """tfcanary's own image, also for the init containers that copy a version from S3. Default: the one that the step runs in."""
    service_account: str = "tfcanary-guard"
    """As whom it runs; deploy/ makes this one, with its rights."""
    ready_timeout: timedelta = seconds(300)
    """Until its first beat: a cold node pulls the image first."""
