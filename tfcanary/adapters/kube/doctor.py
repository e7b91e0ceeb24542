"""The checks of `tfcanary doctor` for a cluster: whether it is ready, and what to do where it is not.

The checks only read, but for one probe object in each bucket, which is removed again. They ask for everything that the preflight refuses,
each on a line of its own, and for what shows only while a release runs: rights of other accounts, series, the guard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tfcanary import __version__
from tfcanary.act import ledger
from tfcanary.adapters import data_checks
from tfcanary.adapters.doctor_checks import Check, CheckResult, Requirements, run_checks
from tfcanary.adapters.kube import gitops, gke, ingress_checks, rights
from tfcanary.adapters.kube.counters import PodCounters
from tfcanary.adapters.kube.platform import open_kube
from tfcanary.adapters.kube.preflight import NO_BUCKET
from tfcanary.adapters.kube.recorded_models import models_with_record
from tfcanary.adapters.kube.records import KubeRecords
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, SERVICE_ACCOUNTS, Right
from tfcanary.adapters.routing import namespace_and_name, open_router
from tfcanary.core.domain import Absence, Finding, Look, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan
from tfcanary.core.plan.cluster import IMAGE
from tfcanary.core.plan.outlook import outlook
from tfcanary.core.ports import Platform

PATIENCE = 5.0
"""Seconds for which a call is tried again: a person waits."""
OLDEST, TESTED = (1, 25), (1, 34)
"""Versions of Kubernetes: nobody has fixed older ones since 2023, and tfcanary is not tested on newer ones."""
STEPS = "tfcanary"
"""The account of the steps in deploy/."""
INSTALLED = {"app.kubernetes.io/part-of": "tfcanary", "app.kubernetes.io/component": "guard"}
"""The labels of an administrator's guard: deploy/guard."""
FROM_HERE = "metrics.url is asked from here: if only the cluster reaches it, run the doctor there, or correct it"
NO_PLAN, NO_MODEL = "not asked: name a plan with --plan", "not asked: name the model with --name"


def examine(uri: str, namespace: str, wanted: Requirements) -> Look:
    """Every check of the cluster, and those of the plan and the model where they are named."""
    cluster = Cluster(uri, Api(namespace, patience=PATIENCE), wanted)
    return run_checks("doctor", [*cluster.itself(), *cluster.planned(), *cluster.measured(), *cluster.released()])


@dataclass(frozen=True, slots=True)
class Cluster:
    """The checks of one namespace."""

    uri: str
    api: Api
    wanted: Requirements

    def itself(self) -> Iterator[Check]:
        """The checks of what any release needs."""
        yield Check("api", self._version, advice="look at $KUBECONFIG and its context, and whether the cluster is reached from here")
        yield Check("identity", self._identity, ("api",))
        yield Check("namespace", self._namespace, ("api",))
        yield Check("rights", self._rights, ("namespace",))
        yield Check("accounts/steps", self._steps, ("namespace",))
        yield Check("records", self._records, ("namespace",))

    def planned(self) -> Iterator[Check | Absence]:
        """The checks of what this plan needs of the cluster."""
        plan = self.wanted.plan
        if plan is None:
            yield from _absent(("router/kinds", "router/gateway", "guard", "images", "bucket"), NO_PLAN)
            return
        yield Check("router/kinds", lambda: ingress_checks.kinds(self.api, plan.traffic.router), ("api",))
        yield Check("router/gateway", lambda: ingress_checks.gateway(self.api, plan), ("router/kinds", "namespace"))
        yield Check("guard", lambda: self._guard(plan), ("namespace",))
        yield Check("images", lambda: _images(plan, self.wanted.image))
        if not plan.bucket.canary:
            yield Check("bucket/canary", _no_bucket)
        yield from data_checks.buckets(plan)

    def measured(self) -> Iterator[Check | Absence]:
        """The checks of the source of the counters."""
        plan, model = self.wanted.plan, self.wanted.model
        names = ("metrics/source", "metrics/series", "metrics/interval", "metrics/objectives")
        if plan is None:
            yield from _absent(names, NO_PLAN)
        elif plan.metrics.source == "scrape":
            yield from _absent(names, "not asked: `metrics.source: scrape` reads the pods' own pages, from within the cluster")
        else:
            yield Check("metrics/source", lambda: _prometheus(plan), advice=FROM_HERE)
            yield from self._series(plan, model) if model else _absent(names[1:], NO_MODEL)

    def released(self) -> Iterator[Check | Absence]:
        """The checks that refuse a release before its first write, in the same words."""
        plan, model = self.wanted.plan, self.wanted.model
        if plan is None or not model:
            yield from _absent(("router/route", "release"), NO_MODEL if plan else NO_PLAN)
            return
        yield Check("router/route", lambda: self._route(plan, model), ("rights", "router/gateway"))
        yield Check("release", lambda: self._release(plan, model), ("router/route", "guard", "images", "bucket/canary", "records"))

    def _series(self, plan: Plan, model: str) -> Iterator[Check | Absence]:
        def bound() -> Platform:
            return open_kube(self.uri, self.api.namespace, model, plan)

        where = _where(plan, self.api.namespace)
        yield Check("metrics/series", lambda: data_checks.series(bound(), plan, where), ("namespace", "metrics/source"))
        yield Check("metrics/interval", lambda: _interval(bound(), plan), ("metrics/series",))
        if plan.judge.objectives:
            yield Check("metrics/objectives", lambda: _objectives(bound(), plan), ("metrics/series",))
        else:
            yield Absence("metrics/objectives", "absent by plan")

    def _version(self) -> CheckResult:
        version = self.api.version()
        found = re.match(r"v?(\d+)\.(\d+)", version)
        number = (int(found[1]), int(found[2])) if found else (0, 0)
        said = f"{self.api.server} is Kubernetes {version or 'of an unknown version'}"
        if number < OLDEST:
            return Finding.FAIL, f"{said}: tfcanary needs {'.'.join(map(str, OLDEST))} or newer; upgrade it"
        if number > TESTED:
            return Finding.WARN, f"{said}: tfcanary is tested up to {'.'.join(map(str, TESTED))}; try a release that does not matter first"
        return Finding.PASS, said

    def _identity(self) -> CheckResult:
        me = self.api.whoami()
        return Finding.PASS, f"the server knows us as {me}" if me else "the server is too old to say as whom it knows us"

    def _namespace(self) -> CheckResult:
        """Whether the namespace exists; where it may not be read, a dry run tells."""
        namespace = self.api.namespace
        if not self.api.is_allowed("get", NAMESPACES):
            self.api.apply(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tfcanary-doctor"}}, dry_run=True)
            return Finding.PASS, f"{namespace} exists"
        found = self.api.get(NAMESPACES, namespace) or {}
        if (found.get("status") or {}).get("phase") == "Terminating":
            return Finding.FAIL, f"{namespace} is being deleted; wait for its end and create it again, or name another one"
        return Finding.PASS, f"{namespace} exists"

    def _wanted_rights(self) -> tuple[Right, ...]:
        plan = self.wanted.plan
        return rights.of_steps(plan.traffic, self.api.namespace, plan.scaling is not None) if plan else rights.EVERY

    def _rights(self) -> CheckResult:
        if lacks := rights.lacking(self.api, self._wanted_rights()):
            return Finding.FAIL, f"we may not: {', '.join(lacks)}; bind the Role `{STEPS}` of deploy/ to who runs this"
        return (
            Finding.PASS,
            f"we may do all that a release needs{'' if self.wanted.plan else ', but for its route: name a plan with --plan'}",
        )

    def _steps(self) -> CheckResult:
        namespace, name = namespace_and_name(self.wanted.account or STEPS, self.api.namespace)
        named = "" if self.wanted.account else "; apply deploy/, or name the steps' account with --service-account"
        return self._account(f"{namespace}/{name}", self._wanted_rights(), named)

    def _account(self, account: str, wanted: Iterable[Right], otherwise: str) -> CheckResult:
        """Whether an account exists and has its rights; `otherwise` says what to do about an account that nobody has named."""
        namespace, _, name = account.partition("/")
        at = self.api.elsewhere(namespace)
        if not at.is_allowed("get", SERVICE_ACCOUNTS):
            return (
                Finding.WARN,
                f"whether service account {account} exists is unknown: we may not get serviceaccounts in namespace {namespace}",
            )
        if at.get(SERVICE_ACCOUNTS, name) is None:
            finding = Finding.WARN if otherwise else Finding.FAIL
            return finding, f"namespace {namespace} has no service account {name}{otherwise or '; apply deploy/, or name another'}"
        try:
            lacks = rights.lacking(self.api, wanted, account)
        except Refused:
            return Finding.WARN, f"service account {account} exists; what it may do is unknown: we may not create localsubjectaccessreviews"
        if lacks:
            return Finding.FAIL, f"service account {account} may not: {', '.join(lacks)}; bind the Role of deploy/ to it"
        return Finding.PASS, f"service account {account} exists, and may do all that it needs to"

    def _guard(self, plan: Plan) -> CheckResult:
        """Whether a guard can run: the account of each release's own, or the guard of the namespace."""
        if not plan.guard.installed:
            return self._account(
                f"{self.api.namespace}/{plan.guard.service_account}", rights.of_guard(plan.traffic, plan.scaling is not None), ""
            )
        found = self.api.list(DEPLOYMENTS, INSTALLED)
        if not found:
            return (
                Finding.FAIL,
                f"guard.installed: namespace {self.api.namespace} has no guard; apply deploy/guard, or leave it out of the plan",
            )
        ready = [one for one in found if (one.get("status") or {}).get("readyReplicas", 0) > 0]
        name = found[0]["metadata"]["name"]
        if not ready:
            return Finding.FAIL, f"guard.installed: Deployment {name} has no pod that is ready; see `kubectl describe deployment {name}`"
        return Finding.PASS, f"Deployment {ready[0]['metadata']['name']} guards every release of the namespace"

    def _records(self) -> CheckResult:
        models = (self.wanted.model,) if self.wanted.model else models_with_record(self.api)
        found = [stored.record for model in models if (stored := KubeRecords(self.api, self.api, model).read())]
        if not found:
            return Finding.PASS, f"{self.wanted.model or 'no model'} was {'never ' if self.wanted.model else ''}released here yet"
        others = sorted({record.writer for record in found} - {__version__})
        before = f"; those of tfcanary {', '.join(others)} have no active release, and are taken over" if others else ""
        return Finding.PASS, f"{len(found)} record{'s' if len(found) > 1 else ''} that tfcanary {__version__} can read{before}"

    def _route(self, plan: Plan, model: str) -> CheckResult:
        router = open_router(self.api, model, plan)
        router.check(tuple(map(plan.traffic_at, plan.weights)))
        if lacks := gke.missing_health_checks(self.api, plan, model):
            return Finding.WARN, lacks
        if advices := tuple(gitops.advices(self.api, (*router.owned_fields(), *gitops.of_tracks(model)))):
            return Finding.WARN, "; ".join(advices)
        return Finding.PASS, f"the route can be weighed at {', '.join(str(weight) for weight in plan.weights)} %"

    def _release(self, plan: Plan, model: str) -> CheckResult:
        bound = open_kube(self.uri, self.api.namespace, model, plan)
        bound.preflight.check(ledger.read(bound))
        said = (f"nothing would stop a release of {model} before its first write", *outlook(plan, bound.clock.now()))
        return Finding.PASS, "; ".join(said)


def _absent(names: Iterable[str], why: str) -> Iterator[Absence]:
    return (Absence(name, why) for name in names)


def _images(plan: Plan, image: str) -> CheckResult:
    if not plan.serving.image:
        return Finding.FAIL, "serving.image: is missing; it must be TF Serving's image, pinned: <repository>@sha256:<digest>"
    loose = {"--image": image, "guard.image": plan.guard.image}
    if named := [f"{field} {text}" for field, text in loose.items() if text and not IMAGE.fullmatch(text)]:
        return Finding.WARN, f"{', '.join(named)}: is not pinned, and may be another image tomorrow; use <repository>@sha256:<digest>"
    return Finding.PASS, "every image that is named is pinned by its digest"


def _no_bucket() -> CheckResult:
    raise Refused(NO_BUCKET)


def _prometheus(plan: Plan) -> CheckResult:
    from tfcanary.adapters.metrics.prometheus import PrometheusSource

    if not plan.metrics.url:
        raise Refused("metrics.url: is missing; give Prometheus' address, for example http://prometheus.monitoring:9090")
    apart = {track: {plan.metrics.pod_label: track.value} for track in Track}
    PrometheusSource(plan.metrics.url, "", plan.metrics, apart).reach()
    return Finding.PASS, "Prometheus answers"


def _where(plan: Plan, namespace: str) -> str:
    metrics = plan.metrics
    labels = {**({metrics.namespace_label: namespace} if metrics.namespace_label else {}), **metrics.selectors}
    said = ", ".join([*(f"{name}={value}" for name, value in labels.items()), f"{metrics.pod_label}=<pod>"])
    return f"let Prometheus scrape each pod, with the labels {said}; see metrics.pod_label, namespace_label and selectors"


def _interval(bound: Platform, plan: Plan) -> CheckResult:
    assert isinstance(bound.metrics, PodCounters)
    slowest = max(bound.metrics.intervals(Track.STABLE, datetime.now(UTC)).values(), default=0.0)
    poll = plan.stage.poll.total_seconds()
    if not slowest:
        return Finding.WARN, "stable's servers were scraped less than twice in the last minutes, so how often is unknown; ask again"
    if round(slowest) > poll:
        return (
            Finding.WARN,
            f"servers are scraped every {slowest:.0f} s, and stage.poll is {poll:g} s: polls in between see nothing new; raise it",
        )
    return Finding.PASS, f"servers are scraped every {slowest:.0f} s; a poll is {poll:g} s"


def _objectives(bound: Platform, plan: Plan) -> CheckResult:
    assert isinstance(bound.metrics, PodCounters)
    bound.metrics.check(Track.STABLE)
    return Finding.PASS, f"stable counts {', '.join(sorted(plan.judge.objectives or ()))}"
