"""The other ways to a release: every router, the compiled pipeline, beside a tool that syncs from Git, and which rights it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml

from tests.cluster.proxy import Asked
from tests.cluster.site import NAME, Site
from tests.cluster.waiting import until
from tfcanary.act import finish
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core import codec
from tfcanary.core.plan import Plan
from tfcanary.core.record import State
from tfcanary.run.submit.handle import release as submit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Ours = Callable[[UserAnswers], dict[str, int]]


@pytest.mark.parametrize("router", ["istio", "nginx", "replicas"])
def test_a_release_by_any_router_loses_no_request(site: Site) -> None:
    run = site.start("better", forced=True)
    site.in_traffic(run)
    assert run.wait() == 0, run.said()[-3000:]
    ended = site.release_of(run.run_id)
    assert (ended.state, site.weight()) == (State.PROMOTED, 0), ended.reason
    until(lambda: site.users is not None and site.users.answers.answered > 100)
    assert site.seen().failed == {}


def test_the_compiled_pipeline_releases_on_a_cluster(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: Ours) -> None:
    monkeypatch.chdir(tmp_path)
    golden = {"source": str(site.models / "golden.jsonl"), "accuracy_margin": 0.05, "limit": 300}
    plan: Plan = codec.decode(Plan, site.plan(predictions=golden))
    handle = submit(str(site.models / "better"), NAME, plan, site.uri)
    ended = handle.wait()
    assert ended.state is State.PROMOTED, f"{ended.reason}\n{Path(handle.run.describe()).read_text()[-3000:]}"
    assert ended.looks["compare"].finding.value == "pass"
    assert ours(site.seen()) == {}


def test_a_tool_that_syncs_from_git_does_not_move_our_weights(site: Site) -> None:
    """It owns host names and annotations of the route, and applies them again and again, by force, as such tools do."""
    wanted = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": NAME, "annotations": {"team": "digits"}},
        "spec": {"hostnames": ["digits.example.com"]},
    }
    run = site.start("better", forced=True, stage={"minimum": "1s"}, weights=[10, 50])
    site.in_traffic(run)
    for _ in range(10):
        site.cluster.api.apply(wanted, site.namespace, manager="argocd-controller")
        assert site.cluster.api.get(site.cluster.api.path(wanted, site.namespace))["spec"]["rules"]
    assert run.wait() == 0, run.said()[-3000:]
    route = site.cluster.api.get(site.cluster.api.path(wanted, site.namespace))
    assert (route["spec"]["hostnames"], route["metadata"]["annotations"]["team"]) == (["digits.example.com"], "digits")
    assert (site.release_of(run.run_id).state, site.weight()) == (State.PROMOTED, 0)


RARE = {
    "tfcanary": {("get", "gateways"), ("get", "pods"), ("patch", "poddisruptionbudgets")},
    "tfcanary-guard": {("create", "services"), ("patch", "services"), ("create", "httproutes")},
}
"""Granted for what this test does not do: a plan without the guard's image, a promotion that is put back, servers that are replaced, and
objects that are deleted by hand."""


@pytest.mark.timeout(900)
def test_every_right_that_deploy_grants_is_used(site: Site) -> None:
    """A candidate that is refused, a promotion after which the previous version goes, and a release that only the guard ends."""
    nowhere = {"serving": {"memory": "900Ti"}, "deploy": {"ready_timeout": "3s"}}
    assert site.release("slow", **nowhere).state is State.REFUSED
    run = site.start("better", forced=True, deploy={"keep_previous": "0s"})
    assert run.wait() == 0, run.said()[-3000:]
    until(lambda: site.uids(1) == set(), seconds=finish.IN_FLIGHT.total_seconds() + 90)
    tolerant = {"latency": "none", "errors": {"margin_absolute": 0.9}}
    abandoned = site.start("breaks-under-load", stage={"minimum": "60s", "maximum": "90s"}, judge=tolerant)
    site.in_traffic(abandoned)
    abandoned.kill()
    assert site.ended(abandoned).state is State.ROLLED_BACK
    assert granted(site, "tfcanary") - used(site.proxy.asked) - RARE["tfcanary"] == set()
    assert granted(site, "tfcanary-guard") - used(site.pods_proxy.asked) - RARE["tfcanary-guard"] == set()


def granted(site: Site, account: str) -> set[tuple[str, str]]:
    role = site.cluster.api.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{site.namespace}/roles/{account}")
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def used(asked: Iterable[Asked]) -> set[tuple[str, str]]:
    """By the API server's own reading of methods: applying is `patch`, and `create` where there was nothing."""
    verbs = set()
    for one in asked:
        parts = one.path.partition("/namespaces/")[2].split("/")
        resource, named = (parts[1], len(parts) > 2) if len(parts) > 1 else ("namespaces", True)
        verb = {"GET": "get" if named else "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[one.method]
        verbs.add((verb, resource))
        if one.method == "PATCH" and yaml.safe_load(one.body or b"{}") and "force=" in one.query:
            verbs.add(("create", resource))
    return verbs
