"""A namespace where a model is served and released: accounts, bucket, users, and a stable version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.cluster import Cluster, documents
from tests.cluster.gateway import Gateway
from tests.cluster.manifests import pods
from tests.cluster.prometheus import Prometheus
from tests.cluster.proxy import Proxy
from tests.cluster.waiting import until
from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.adapters.doctor_checks import Requirements
from tfcanary.cli.demo.users import UserAnswers, Users
from tfcanary.core import codec
from tfcanary.core.domain import Finding, Pool, Track
from tfcanary.core.plan import Entrance, Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release, State

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAME = "digits"
RATE = 60.0
GATEWAY = "front"
SERVING_IMAGE = "tensorflow-serving@sha256:" + "0" * 64
PLAN: dict[str, Any] = {
    "weights": [50],
    "stage": {"poll": "500ms", "minimum": "3s", "maximum": "60s"},
    "judge": {
        "minimum_time": "5s",
        "minimum_requests": 80,
        "settle": "1s",
        "warmup": "1s",
        "freeze_requests": 100,
        "errors": {"margin_absolute": 0.05},
        "latency": "none",
    },
    "deploy": {"warm_timeout": "4s", "lease": "9s", "heartbeat": "6s", "ready_timeout": "60s", "handover": "30s"},
    "serving": {"image": SERVING_IMAGE, "replicas": 2, "cpu": "100m", "memory": "1Gi"},
    "guard": {"image": "tfcanary:test"},
}
"""Times of a test; the stable version has two pods and a canary one."""
ROUTES = {"gateway": "HTTPRoute", "istio": "VirtualService", "nginx": "Ingress", "replicas": "Service"}
TRAFFIC: dict[str, dict[str, Any]] = {
    "gateway": {"gateway": GATEWAY},
    "istio": {"gateway": "mesh", "hostnames": ["digits.example.com"]},
    "nginx": {"gateway": "nginx"},
    "replicas": {},
}
runs = count(1)


@dataclass
class Site:
    """What a drill works with. The steps and the guard reach the API server through the proxy, as service accounts."""

    cluster: Cluster
    namespace: str
    router: str
    proxy: Proxy
    """The steps' way to the API server."""
    pods_proxy: Proxy
    """The guard's."""
    prometheus: Prometheus
    gateway: Gateway
    models: Path
    folder: Path
    bucket: str = ""
    """The URI of a bucket; empty: a directory, which pods mount."""
    users: Users | None = None
    runs: list[Run] = field(default_factory=list)
    kubeconfig: Path = field(init=False)

    def __post_init__(self) -> None:
        accounts(self.cluster, self.namespace, self.router)
        (self.folder / "bucket").mkdir()
        self.cluster.apply([gateway_object()], self.namespace)
        self.cluster.use_for_pods(self.pods_proxy.url)
        self.kubeconfig = self.cluster.account_kubeconfig(self.namespace, "tfcanary", self.proxy.url)

    @property
    def uri(self) -> str:
        return f"kube://{self.namespace}"

    def plan(self, **changes: Any) -> dict[str, Any]:
        """The site's plan; a part that is an object is merged."""
        bucket = self.bucket or str(self.folder / "bucket")
        server = {"name": "server", "volumeMounts": [{"name": "models", "mountPath": bucket}]}
        patch = {"spec": {"volumes": [{"name": "models", "hostPath": {"path": bucket}}], "containers": [server]}}
        merged = {**PLAN, "bucket": {"canary": bucket}, "metrics": {"url": self.prometheus.url}}
        merged["serving"] = {**PLAN["serving"], **({} if self.bucket else {"pod_patch": patch})}
        merged["traffic"] = {"router": self.router, **TRAFFIC[self.router]}
        for name, value in changes.items():
            merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
        return merged

    def platform(self, **changes: Any) -> Platform:
        decoded: Plan = codec.decode(Plan, self.plan(**changes))
        return adapters.open_platform(self.uri, NAME, decoded)

    def ailments(self) -> dict[str, str]:
        """What the doctor, asked by whoever runs the steps, finds in the way of a release."""
        decoded: Plan = codec.decode(Plan, self.plan())
        found = adapters.examine(self.uri, Requirements(decoded, NAME))
        return {one.about: one.reason for one in found.evidence if one.finding not in (Finding.PASS, Finding.WARN)}

    def start(self, model: str, run_id: str = "", forced: bool = False, **changes: Any) -> Run:
        """The graph of a release, in a process of its own."""
        run_id = run_id or f"run-{next(runs)}"
        job = {"platform": self.uri, "model_name": NAME, "plan": self.plan(**changes), "run_id": run_id}
        path = self.folder / f"{run_id}.json"
        path.write_text(json.dumps({**job, "model": str(self.models / model), "forced": forced}))
        self.runs.append(Run(self, run_id, path))
        return self.runs[-1]

    def release(self, model: str, **changes: Any) -> Release:
        """A whole release; returns it as it ended."""
        run = self.start(model, **changes)
        run.wait()
        return self.release_of(run.run_id)

    def record(self) -> Record:
        return ledger.read(self.platform())

    def release_of(self, run_id: str = "") -> Release:
        found = self.record().release
        assert found is not None, "nothing was released:\n" + "\n".join(log.read_text()[-3000:] for log in self.folder.glob("*.log"))
        assert run_id in ("", found.run_id), f"the record holds {found.run_id}, not {run_id}"
        return found

    def in_traffic(self, run: Run, seconds: float = 120.0) -> Release:
        """Wait until the canary of this run has traffic."""
        return until(lambda: self._in_traffic(run.run_id), seconds=seconds)  # type: ignore[return-value]

    def _in_traffic(self, run_id: str) -> Release | None:
        release = self.record().release
        return release if release and release.run_id == run_id and release.weight and release.first_traffic else None

    def ended(self, run: Run, seconds: float = 150.0) -> Release:
        """Wait for the end of this run's release, whoever ends it."""
        return until(lambda: self._ended(run.run_id), seconds=seconds)  # type: ignore[return-value]

    def _ended(self, run_id: str) -> Release | None:
        release = self.record().release
        return release if release and release.run_id == run_id and release.state.ended else None

    def settled(self, run: Run, state: State = State.ROLLED_BACK) -> Release:
        """Wait for the end of this run's release, whoever ends it; all requests go to version 1, as before the release."""
        ended = self.ended(run)
        assert (ended.state, self.weight()) == (state, 0), f"{ended.reason}\n{run.said()[-3000:]}"
        stable = self.record().stable
        assert stable is not None
        assert stable.number == 1
        until(lambda: self.platform().deployer.observe().tracks == {Track.STABLE: Pool(1)})
        return ended

    def in_force(self, run: Run, weight: int = 50) -> Release:
        """Wait until the stage is watched at its weight."""
        until(lambda: f"tfcanary.watch {NAME} at {weight} %" in run.said(), seconds=150)
        return self.release_of(run.run_id)

    def weight(self) -> int:
        return self.platform().router.traffic().canary

    def uids(self, number: int) -> set[str]:
        """Of the pods of a version."""
        found = pods(self.cluster.api, self.namespace, **{"tfcanary.dev/model": NAME, "tfcanary.dev/version": str(number)})
        return {str(pod["metadata"]["uid"]) for pod in found}

    def begin_users(self, rate: float = RATE) -> Users:
        entrances = (Entrance.REST,) if self.router == "nginx" else tuple(Entrance)
        self.users = Users(self.gateway.address, NAME, self.models / "users.json", rate, entrances)
        self.users.start()
        return self.users

    def seen(self) -> UserAnswers:
        """What users saw since the last call."""
        assert self.users
        return self.users.take_answers()

    def close(self) -> None:
        if self.users:
            self.users.stop()
        for run in self.runs:
            run.kill()


class Run:
    """The process of a release's graph."""

    def __init__(self, site: Site, run_id: str, job: Path) -> None:
        self.run_id, self.job, self._site = run_id, job, site
        self.log = job.with_suffix(".log")
        self.begin()

    def begin(self) -> None:
        """Again, from the beginning: what is done is recorded."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.graph", str(self.job)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "KUBECONFIG": str(self._site.kubeconfig)},
            )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = 600.0) -> int:
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def gateway_object() -> dict[str, Any]:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    spec = {"gatewayClassName": "tests", "listeners": [listener]}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": GATEWAY}, "spec": spec}


def accounts(cluster: Cluster, namespace: str, router: str = "gateway") -> None:
    """What deploy/ ships: the accounts, and the rights that a router adds to them."""
    shipped = {one["metadata"]["name"] + one["kind"]: one for name in ("steps", "guard") for one in documents(DEPLOY / f"rbac/{name}.yaml")}
    added_by = DEPLOY / f"routers/{router}/kustomization.yaml"
    for patch in documents(added_by)[0]["patches"] if added_by.exists() else ():
        added = [one["value"] for one in yaml.safe_load(patch["patch"])]
        shipped[patch["target"]["name"] + patch["target"]["kind"]]["rules"] += added
    for one in shipped.values():
        for subject in one.get("subjects", ()):
            subject["namespace"] = namespace
    cluster.apply(shipped.values(), namespace)
