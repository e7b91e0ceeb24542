"""Whom Prometheus scrapes: one description, as PodMonitors and as plain scrape configurations.

Ports that no container declares are given by address: a step's pod is made by Kubeflow Pipelines, which knows no ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.run.monitor.recordings import OURS, SERVERS

PAGE = "/monitoring/prometheus/metrics"
INTERVAL = "15s"
"""Twice in each of the shortest times that an alert waits for."""
TIMEOUT = "10s"
STEP = "main"
"""How Kubeflow Pipelines calls the container of a step."""
META = "__meta_kubernetes_pod_"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scraped:
    """Pods of one kind."""

    name: str
    job: str
    labels: Mapping[str, str]
    container: str
    port: int
    path: str = "/metrics"
    anywhere: bool = False
    """In any namespace, not the monitor's alone: runs need not be where the models are."""

    def relabelings(self) -> list[Json]:
        """In Prometheus' own spelling. Each port of a pod is a target: those of one container become the same."""
        address = {"source_labels": [f"{META}ip"], "target_label": "__address__"}
        return [
            {"action": "keep", "source_labels": [f"{META}container_init", f"{META}container_name"], "regex": f"false;{self.container}"},
            {"action": "drop", "source_labels": [f"{META}phase"], "regex": "Succeeded|Failed"},
            {**address, "regex": r"([^:]+)", "replacement": f"$1:{self.port}"},
            {**address, "regex": r"(.*:.*)", "replacement": f"[$1]:{self.port}"},
            *(_named(label, of) for label, of in {"namespace": "__meta_kubernetes_namespace", "pod": f"{META}name"}.items()),
            *(_named(label, f"{META}label_tfcanary_dev_{label}") for label in ("model", "version") if self.job == SERVERS),
            {"target_label": "job", "replacement": self.job},
        ]

    def monitor(self) -> Json:
        """A PodMonitor. What we export names its namespace itself, for a step may run in another one than the model."""
        endpoint = {"path": self.path, "interval": INTERVAL, "scrapeTimeout": TIMEOUT, "honorLabels": self.job == OURS}
        spec = {
            **({"namespaceSelector": {"any": True}} if self.anywhere else {}),
            "selector": {"matchLabels": dict(self.labels)},
            "podMetricsEndpoints": [{**endpoint, "relabelings": [_as_operator_says(one) for one in self.relabelings()]}],
        }
        metadata = {"name": self.name, "labels": {"app.kubernetes.io/part-of": "tfcanary"}}
        return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": metadata, "spec": spec}

    def scrape_config(self) -> Json:
        """The same for a Prometheus without the operator."""
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


def _named(label: str, source: str) -> Json:
    return {"source_labels": [source], "target_label": label}


def _as_operator_says(relabeling: Json) -> Json:
    spelled = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    return {spelled.get(name, name): value for name, value in relabeling.items()}


SCRAPED = (
    Scraped(
        "tfcanary-guards",
        OURS,
        {"app.kubernetes.io/name": "tfcanary", "app.kubernetes.io/component": "guard"},
        "guard",
        object_names.METRICS,
    ),
    Scraped(
        "tfcanary-steps",
        OURS,
        {"app.kubernetes.io/part-of": "tfcanary", "app.kubernetes.io/component": "step", object_names.WATCHES: "true"},
        STEP,
        object_names.METRICS,
        anywhere=True,
    ),
    Scraped(
        "tfcanary-servers",
        SERVERS,
        {"app.kubernetes.io/name": "tensorflow-serving", object_names.MANAGED_BY: object_names.MANAGER},
        "server",
        object_names.REST,
        PAGE,
    ),
)
