"""A real API server takes what lies in deploy/, and gives each account what its Role says and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.binaries import crds
from tests.cluster.cluster import Cluster, define
from tests.cluster.fixtures import cluster, missing, namespace
from tests.cluster.waiting import until
from tests.deploy.manifests import DEPLOY, ROUTERS, overlay, render
from tfcanary import __version__, adapters
from tfcanary.core import codec
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Records
from tfcanary.core.record import Holder, Record, Release, State

__all__ = ["cluster", "namespace"]

pytestmark = pytest.mark.slow

ELSEWHERE = "kube-system"


@pytest.fixture
def installed(cluster: Cluster, namespace: str, tmp_path: Path) -> str:
    """The namespace, with every router's rights and a guard of its own, as `kubectl apply -k` does it."""
    folder = overlay(tmp_path, namespace, *[f"routers/{one}" for one in ROUTERS], "kubeflow", guard=True)
    render(folder)
    for arguments in (["--dry-run=server"], [], []):
        applied = kubectl(cluster.kubeconfig, "apply", "-k", str(folder), *arguments)
        assert applied.returncode == 0, applied.stderr
    assert all(line.endswith(" unchanged") for line in applied.stdout.splitlines()), applied.stdout
    return namespace


def kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--kubeconfig", str(kubeconfig), *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": str(kubeconfig.parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def granted(cluster: Cluster, installed: str, role: str) -> set[tuple[str, str, str]]:
    """Group, resource and verb, as the Role on the server says."""
    rules = cluster.api.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{installed}/roles/{role}")["rules"]
    return {
        (group, resource, verb) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]
    }


def can(cluster: Cluster, account: str, place: str, of: str) -> set[tuple[str, str, str]]:
    """What the server's own authorizer lets an account do in a namespace; without what everybody may ask about himself."""
    with_token = cluster.api_as(of, account)
    try:
        path, body = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": place}}
        rules = with_token.post(path, body)["status"]["resourceRules"]
    finally:
        with_token.close()
    everybody = ("authorization.k8s.io", "authentication.k8s.io")
    found = {
        (group, resource, verb) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    return {one for one in found if one[0] not in everybody}


@pytest.mark.parametrize("account", ["tfcanary", "tfcanary-guard"])
def test_an_account_may_do_what_its_role_says_and_nothing_elsewhere(cluster: Cluster, installed: str, account: str) -> None:
    may = can(cluster, account, installed, installed)
    assert may == granted(cluster, installed, account)
    assert can(cluster, account, ELSEWHERE, installed) == set()


def test_every_object_belongs_to_the_namespace_and_the_guards_pod_fits_the_strictest_policy(cluster: Cluster, installed: str) -> None:
    found = kubectl(
        cluster.kubeconfig, "get", "-n", installed, "serviceaccounts,roles,rolebindings,networkpolicies,deployments", "-o", "name"
    )
    names = set(found.stdout.split())
    assert {"serviceaccount/tfcanary", "serviceaccount/tfcanary-guard", "deployment.apps/tfcanary-guard"} <= names
    assert len([one for one in names if one.startswith("networkpolicy")]) == 3
    cluster.api.merge(f"/api/v1/namespaces/{installed}", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{installed}/deployments/tfcanary-guard")
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "restricted", "labels": {}}, "spec": template["spec"]}
    admitted = cluster.api.post(f"/api/v1/namespaces/{installed}/pods?dryRun=All", pod)
    assert admitted["spec"]["serviceAccountName"] == "tfcanary-guard"


def test_the_operators_own_definitions_know_every_field_of_the_monitoring(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    try:
        definitions = [crds.find(f"{one}.monitoring.coreos.com") for one in ("podmonitors", "prometheusrules")]
    except FileNotFoundError as error:
        missing(error)
    define(cluster.api, definitions)
    shutil.copytree(DEPLOY / "monitoring", tmp_path / "monitoring")
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": namespace, "resources": ["monitoring"]}))
    asked = ("apply", "-k", str(tmp_path), "--dry-run=server")
    applied = kubectl(cluster.kubeconfig, *asked)
    assert applied.returncode == 0, applied.stderr
    assert len(applied.stdout.splitlines()) == 5
    monitors = tmp_path / "monitoring" / "podmonitors.yaml"
    monitors.write_text(monitors.read_text().replace("honorLabels", "honourLabels"))
    assert 'unknown field "spec.podMetricsEndpoints[0].honourLabels"' in kubectl(cluster.kubeconfig, *asked).stderr


def records(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Records:
    monkeypatch.setenv("KUBECONFIG", str(cluster.account_kubeconfig(namespace, "tfcanary")))
    return adapters.open_platform(f"kube://{namespace}", "digits", Plan()).records


def test_the_guard_of_a_namespace_is_heard_of_and_ends_what_is_left_alone(
    cluster: Cluster, installed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The Deployment as it is shipped, under its own Role. It looks every 15 s."""
    ours = records(cluster, installed, monkeypatch)
    (tmp_path / "bucket").mkdir()
    wanted = {"stage": {"poll": "1s"}, "deploy": {"lease": "3s", "handover": "3s", "heartbeat": "3s"}, "guard": {"installed": True}}
    plan: Plan = codec.decode(Plan, {**wanted, "bucket": {"canary": str(tmp_path / "bucket")}})
    began = datetime.now(UTC)
    holder = Holder("run-1: deploy", "a step", 1, timedelta(minutes=5), began, watching=False)
    release = Release("run-1", plan, codec.digest(plan), began, holder=holder)
    generation = ours.swap(Record("digits", __version__, release=release), 0)

    def stands() -> Release:
        found = ours.read()
        assert found is not None
        assert found.record.release is not None
        return found.record.release

    until(lambda: stands().beat, seconds=90)
    assert stands().state is State.OPEN
    left = replace(release, state=State.WATCHED, holder=replace(holder, lasts=timedelta(seconds=3)))
    ours.swap(Record("digits", __version__, release=left), generation)
    until(lambda: stands().state, lambda state: state is State.ROLLED_BACK, 90)
    assert "left alone" in stands().reason
    told = until(lambda: cluster.output(installed), lambda text: "digits: release run-1 ended: rolled back" in text)
    assert f"guarding every release of kube://{installed}" in told
    assert "WARNING" not in told
    assert "Traceback" not in told


def test_a_whole_installation_can_be_removed_again(cluster: Cluster, installed: str, tmp_path: Path) -> None:
    removed = kubectl(cluster.kubeconfig, "delete", "-k", str(tmp_path), "--wait=false")
    assert removed.returncode == 0, removed.stderr
    left = kubectl(cluster.kubeconfig, "get", "-n", installed, "roles,rolebindings,networkpolicies,deployments", "-o", "yaml")
    assert yaml.safe_load(left.stdout)["items"] == []
