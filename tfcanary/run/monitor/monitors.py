"""The pods that Prometheus scrapes: one description, written as PodMonitors and as plain scrape configurations.

Ports are given by address, because a step's pod, which Kubeflow Pipelines makes, declares none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.run.monitor.recordings import OURS, SERVERS

PAGE = "/monitoring/prometheus/metrics"
INTERVAL = "15s"
"""The time between two scrapes: at least two of them fit into the shortest time that an alert waits for."""
TIMEOUT = "10s"
STEP = "main"
"""The name that Kubeflow Pipelines gives the container of a step."""
META = "__meta_kubernetes_pod_"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """Pods of one kind that Prometheus scrapes."""

    name: str
    job: str
    labels: Mapping[str, str]
    container: str
    port: int
    path: str = "/metrics"
    anywhere: bool = False
    """Whether pods of every namespace are scraped, because runs need not be in the namespace of the models."""

    def relabelings(self) -> list[Json]:
        """Return the relabelings in Prometheus' spelling. Each port of a pod is a target; the ports of one container become one target."""
        address = {"source_labels": [f"{META}ip"], "target_label": "__address__"}
        return [
            {"action": "keep", "source_labels": [f"{META}container_init", f"{META}container_name"], "regex": f"false;{self.container}"},
            {"action": "drop", "source_labels": [f"{META}phase"], "regex": "Succeeded|Failed"},
            {**address, "regex": r"([^:]+)", "replacement": f"$1:{self.port}"},
            {**address, "regex": r"(.*:.*)", "replacement": f"[$1]:{self.port}"},
            *(_copy_label(label, of) for label, of in {"namespace": "__meta_kubernetes_namespace", "pod": f"{META}name"}.items()),
            *(_copy_label(label, f"{META}label_tfcanary_dev_{label}") for label in ("model", "version") if self.job == SERVERS),
            {"target_label": "job", "replacement": self.job},
        ]

    def monitor(self) -> Json:
        """Return a PodMonitor. Our own metrics name their namespace themselves, because a step may run in another one than the model."""
        endpoint = {"path": self.path, "interval": INTERVAL, "scrapeTimeout": TIMEOUT, "honorLabels": self.job == OURS}
        spec = {
            **({"namespaceSelector": {"any": True}} if self.anywhere else {}),
            "selector": {"matchLabels": dict(self.labels)},
            "podMetricsEndpoints": [{**endpoint, "relabelings": [_operator_spelling(one) for one in self.relabelings()]}],
        }
        metadata = {"name": self.name, "labels": {"app.kubernetes.io/part-of": "tfcanary"}}
        return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": metadata, "spec": spec}

    def scrape_config(self) -> Json:
        """Return the scrape configuration of a Prometheus without the operator."""
        selected = ",".join(f"{name}={value}" for name, value in self.labels.items())
        return {
            "job_name": self.name,
            "metrics_path": self.path,
            "scrape_interval": INTERVAL,
            "scrape_timeout": TIMEOUT,
            "honor_labels": self.job == OURS,
            "kubernetes_sd_configs": [{"role": "pod", "selectors": [{"role": "pod", "label": selected}]}],
            "relabel_configs": self.relabelings(),
        }


def _copy_label(label: str, source: str) -> Json:
    return {"source_labels": [source], "target_label": label}


def _operator_spelling(relabeling: Json) -> Json:
    spelled = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    return {spelled.get(name, name): value for name, value in relabeling.items()}


SCRAPE_TARGETS = (
    ScrapeTarget(
        "tfcanary-guards",
        OURS,
        {"app.kubernetes.io/name": "tfcanary", "app.kubernetes.io/component": "guard"},
        "guard",
        object_names.METRICS,
    ),
    ScrapeTarget(
        "tfcanary-steps",
        OURS,
        {"app.kubernetes.io/part-of": "tfcanary", "app.kubernetes.io/component": "step", object_names.WATCHES: "true"},
        STEP,
        object_names.METRICS,
        anywhere=True,
    ),
    ScrapeTarget(
        "tfcanary-servers",
        SERVERS,
        {"app.kubernetes.io/name": "tensorflow-serving", object_names.MANAGED_BY: object_names.MANAGER},
        "server",
        object_names.REST,
        PAGE,
    ),
)
