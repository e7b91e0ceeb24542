"""What is shipped in deploy/ gives no more rights than a release needs, and its pods have none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import DEPLOY, DIGEST, ROUTERS, Json, documents, of_kind, overlay, patches, render, rules
from tfcanary import __version__
from tfcanary.adapters.kube import manifests, rights
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import Resource
from tfcanary.adapters.routing import known_routers
from tfcanary.core.domain import ModelVersion, RunningPool, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import GuardPodPlan, Plan, TrafficPlan
from tfcanary.run.trigger import serving, settings
from tfcanary.run.web import bounded_server

RIGHTS_AND_POLICIES = {"Component", "Kustomization", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"}
KINDS = {*RIGHTS_AND_POLICIES, "Deployment", "ConfigMap", "Service", "PodMonitor", "PrometheusRule"}
"""No ClusterRole, no ClusterRoleBinding, no Secret."""
ROUTES = {kind: router.carrier for kind, router in known_routers().items() if router.rights(TrafficPlan(), "serving")}
"""The routers that need rights of their own, each with the kind of its route."""
DRAWING_RIGHTS = {"secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward", "roles", "rolebindings"}
"""Whoever has one of these can get at more."""


def allows(of: list[Json], resource: Resource, verb: str) -> bool:
    plural = resource.plural
    return any(resource.group in rule["apiGroups"] and plural in rule["resources"] and verb in rule["verbs"] for rule in of)


def rules_of(role: str, router: str = "") -> list[Json]:
    (found,) = [one for one in of_kind("Role") if one["metadata"]["name"] == role]
    if not router:
        return list(found["rules"])
    component = yaml.safe_load((DEPLOY / "routers" / router / "kustomization.yaml").read_text())
    added = [yaml.safe_load(one["patch"]) for one in component["patches"] if one["target"]["name"] == role]
    return [*found["rules"], *(operation["value"] for patch in added for operation in patch)]


def pods() -> list[Json]:
    """The templates of all pods: of the namespace's guard, of the trigger, and those that a release makes."""
    version = ModelVersion(7, "s3://bucket/digits/7", DIGEST)
    made = [manifests.deployment("digits", RunningPool(version), Plan()), manifests.guard("digits", "serving", "run-1", Plan(), "tfcanary")]
    return [one["spec"]["template"] for one in (*of_kind("Deployment"), *made)]


def test_only_what_belongs_to_a_namespace_is_shipped() -> None:
    assert {document["kind"] for _, document in documents()} <= KINDS


def test_every_router_on_a_cluster_has_its_rights_or_needs_none() -> None:
    assert {*ROUTERS} == {*ROUTES}
    assert {*known_routers()} - {*ROUTES} == {"replicas"}


def test_no_role_has_more_than_plain_verbs_on_plain_resources() -> None:
    for rule in rules():
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], rule
        assert not DRAWING_RIGHTS & {*rule["resources"]}, rule
        assert {*rule["verbs"]} <= {"get", "list", "create", "patch", "delete"}, rule


@pytest.mark.parametrize("router", ROUTERS)
def test_the_steps_have_every_right_that_is_asked_for_before_a_release(router: str) -> None:
    has = rules_of("tfcanary", router)
    for right in rights.of_steps(TrafficPlan(router, gateway="front"), "serving"):
        assert all(allows(has, right.resource, verb) for verb in right.verbs), right


@pytest.mark.parametrize("router", ROUTES)
def test_the_guard_has_every_right_that_the_doctor_asks_for_and_no_other_on_these_kinds(router: str) -> None:
    has = rules_of("tfcanary-guard", router)
    wanted = rights.of_guard(TrafficPlan(router, gateway="front"))
    for right in wanted:
        assert all(allows(has, right.resource, verb) for verb in right.verbs), right
    kinds = {right.resource.plural for right in wanted}
    assert {kind for rule in has for kind in rule["resources"]} - kinds == {"events"}


def test_plans_with_autoscalers_have_their_rights_by_a_component_of_their_own() -> None:
    component = yaml.safe_load((DEPLOY / "scaling" / "kustomization.yaml").read_text())
    for account, wanted in (("tfcanary", rights.SCALING), ("tfcanary-guard", rights.GUARD_SCALING)):
        added = [op["value"] for one in component["patches"] if one["target"]["name"] == account for op in yaml.safe_load(one["patch"])]
        given = {(kind, verb) for rule in added for kind in rule["resources"] for verb in rule["verbs"]}
        assert given == {(right.resource.plural, verb) for right in wanted for verb in right.verbs}


@pytest.mark.parametrize("router", ROUTERS)
def test_the_guard_may_do_nothing_that_the_steps_may_not(router: str) -> None:
    steps = rules_of("tfcanary", router)
    for rule in rules_of("tfcanary-guard", router):
        for group, resource, verb in [(g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]]:
            assert any(group in one["apiGroups"] and resource in one["resources"] and verb in one["verbs"] for one in steps), rule


def test_the_guard_can_neither_start_nor_change_a_server() -> None:
    (on_deployments,) = [rule for rule in rules_of("tfcanary-guard") if "deployments" in rule["resources"]]
    assert {*on_deployments["verbs"]} == {"get", "list", "delete"}
    (on_config_maps,) = [rule for rule in rules_of("tfcanary-guard") if "configmaps" in rule["resources"]]
    assert "create" not in on_config_maps["verbs"]


def test_every_account_is_bound_to_the_role_of_its_name() -> None:
    accounts = {one["metadata"]["name"] for one in of_kind("ServiceAccount")} - {"tfcanary-trigger"}
    roles = {one["metadata"]["name"] for one in of_kind("Role")}
    assert accounts == roles == {"tfcanary", GuardPodPlan().service_account, "tfcanary-dashboard"}
    for binding in of_kind("RoleBinding"):
        named = [one["name"] for one in binding["subjects"]]
        assert (named, binding["roleRef"]["name"]) in [([name], name) for name in accounts] + [(["tfcanary-trigger"], "tfcanary")]


@pytest.mark.parametrize("template", pods(), ids=lambda one: one["metadata"]["labels"]["app.kubernetes.io/component"])
def test_every_pod_is_without_root_privileges_and_a_writable_root(template: Json) -> None:
    pod = template["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in pod["volumes"])
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


def installed(name: str) -> Json:
    (found,) = [one for one in of_kind("Deployment") if one["metadata"]["name"] == name]
    return found


def test_the_guard_of_a_namespace_is_of_the_version_that_ships_it() -> None:
    guard = installed("tfcanary-guard")
    (container,) = guard["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"tfcanary:{__version__}"
    command = [
        "python",
        "-m",
        "tfcanary",
        "guard",
        "--platform",
        "kube://$(NAMESPACE)",
        "--all",
        "--metrics-port",
        str(object_names.METRICS),
    ]
    assert container["command"] == command
    assert [port["containerPort"] for port in container["ports"]] == [object_names.METRICS]
    assert guard["spec"]["template"]["spec"]["serviceAccountName"] == GuardPodPlan().service_account


def selects(selector: Json, labels: Json) -> bool:
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def policy(name: str) -> Json:
    (found,) = [one for one in of_kind("NetworkPolicy") if one["metadata"]["name"] == name]
    assert {*found["spec"]["policyTypes"]} == {"Ingress", "Egress"}
    return dict(found["spec"])


def test_the_policies_are_for_the_pods_that_a_release_makes() -> None:
    servers, guards = policy("tfcanary-servers")["podSelector"], policy("tfcanary-guard")["podSelector"]
    chosen = [
        ("dashboard" if selects(policy("tfcanary-dashboard")["podSelector"], labels) else "")
        + ("servers" if selects(servers, labels) else "")
        + ("guard" if selects(guards, labels) else "")
        + ("trigger" if selects(policy("tfcanary-trigger")["podSelector"], labels) else "")
        for labels in (one["metadata"]["labels"] for one in pods())
    ]
    assert sorted(chosen) == ["dashboard", "guard", "guard", "servers", "trigger"]


def test_the_policy_of_the_steps_is_for_the_pods_of_the_pipeline() -> None:
    """Their labels are those that the package gives them."""
    from tfcanary.run.submit import package

    on_a_cluster = list(yaml.safe_load_all(package("canary_release")))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    steps = policy("tfcanary-steps")["podSelector"]
    assert all(selects(steps, one["podMetadata"]["labels"]) for one in on_a_cluster.values())
    assert not any(selects(steps, one["metadata"]["labels"]) for one in pods())


def test_guards_and_steps_reach_the_servers_and_the_servers_let_them_in() -> None:
    labels = object_names.labels("digits", "server")
    into = [one for rule in policy("tfcanary-servers")["ingress"] for one in rule["from"] if "podSelector" in one]
    for name in ("tfcanary-guard", "tfcanary-steps", "tfcanary-trigger"):
        out = [rule for rule in policy(name)["egress"] if any(selects(one.get("podSelector", {}), labels) for one in rule.get("to", ()))]
        ports = {port["port"] for rule in out for port in rule["ports"] if any("podSelector" in one for one in rule["to"])}
        assert {object_names.GRPC, object_names.REST} <= ports
        selector = policy(name)["podSelector"]
        assert any(selects(one["podSelector"], selector["matchLabels"]) for one in into)
        if name == "tfcanary-trigger":
            continue  # whoever sends events reaches it, and its own metrics are beside
        assert [port["port"] for rule in policy(name)["ingress"] for port in rule["ports"]] == [object_names.METRICS]
        assert [one["podSelector"] for rule in policy(name)["ingress"] for one in rule["from"]] == [
            {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
        ]


def test_the_installation_of_a_namespace_is_rendered_offline() -> None:
    found = render(DEPLOY)
    assert {one["metadata"]["namespace"] for one in found} == {"serving"}
    assert {one["kind"] for one in found} == {"ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"}
    (role,) = [one for one in found if one["kind"] == "Role" and one["metadata"]["name"] == "tfcanary"]
    assert allows(role["rules"], ROUTES["gateway"], "patch")


def test_another_namespace_gets_everything_and_names_no_other(tmp_path: Path) -> None:
    routers = [f"routers/{one}" for one in ROUTERS]
    found = render(overlay(tmp_path, "team-a", *routers, "kubeflow", guard=True))
    assert {one["metadata"]["namespace"] for one in found} == {"team-a"}
    subjects = {(s["name"], s["namespace"]) for one in found if one["kind"] == "RoleBinding" for s in one["subjects"]}
    assert subjects == {("tfcanary", "team-a"), ("tfcanary-guard", "team-a"), ("default-editor", "kubeflow-user-example-com")}
    (role,) = [one for one in found if one["kind"] == "Role" and one["metadata"]["name"] == "tfcanary-guard"]
    assert all(allows(role["rules"], resource, "patch") for resource in ROUTES.values())
    (guard,) = [one for one in found if one["kind"] == "Deployment"]
    assert guard["spec"]["template"]["spec"]["containers"][0]["image"] == f"tfcanary@{DIGEST}"


def test_the_rights_of_routers_are_added_to_roles_that_exist() -> None:
    known = {(one["kind"], one["metadata"]["name"]) for _, one in documents() if "metadata" in one}
    assert {(kind, name) for kind, name, _ in patches()} <= known


def test_the_track_services_are_ports_that_the_policy_opens() -> None:
    service = manifests.service("digits", Track.STABLE, {}, Plan().serving)
    opened = {port["port"] for port in policy("tfcanary-servers")["ingress"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == opened


def test_the_trigger_reads_settings_and_a_token_where_it_looks_for_them(tmp_path: Path) -> None:
    pod = installed("tfcanary-trigger")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"tfcanary:{__version__}"
    (config,) = of_kind("ConfigMap")
    text = config["data"]["trigger.yaml"]
    (tmp_path / "trigger.yaml").write_text(text)
    with pytest.raises(Refused, match=r"trigger\.yaml\.image: is missing"):
        settings.read(tmp_path / "trigger.yaml")
    (tmp_path / "trigger.yaml").write_text(text.replace("# image: <repository>@sha256:<digest>", "image: example/tfcanary:1"))
    read = settings.read(tmp_path / "trigger.yaml")
    assert read.auth is not None
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes[mounts[str(Path(read.auth.token_file).parent)]]["secret"]["secretName"] == "tfcanary-trigger"
    shown = container["command"][container["command"].index("--settings") + 1]
    assert volumes[mounts[str(Path(shown).parent)]]["configMap"]["name"] == config["metadata"]["name"]
    assert Path(shown).name in config["data"]


def test_the_trigger_can_be_reached_where_it_listens_and_no_longer_than_it_is_given() -> None:
    deployment = installed("tfcanary-trigger")
    (service,) = [one for one in of_kind("Service") if one["metadata"]["name"] == "tfcanary-trigger"]
    template = deployment["spec"]["template"]
    assert selects({"matchLabels": service["spec"]["selector"]}, template["metadata"]["labels"])
    (container,) = template["spec"]["containers"]
    (port,) = container["ports"]
    assert container["command"][-1] == str(port["containerPort"]) == str(policy("tfcanary-trigger")["ingress"][0]["ports"][0]["port"])
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert template["spec"]["terminationGracePeriodSeconds"] > bounded_server.DRAIN + serving.LAST


def test_the_trigger_is_rendered_with_the_rest_in_any_namespace(tmp_path: Path) -> None:
    folder = overlay(tmp_path, "team-a", "routers/gateway")
    shown = yaml.safe_load((folder / "kustomization.yaml").read_text())
    shown["resources"].append("deploy/trigger")
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(shown))
    found = render(folder)
    assert {one["metadata"]["namespace"] for one in found} == {"team-a"}
    (binding,) = [one for one in found if one["kind"] == "RoleBinding" and one["metadata"]["name"] == "tfcanary-trigger"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "tfcanary-trigger", "namespace": "team-a"}]


def test_the_live_pages_may_read_records_and_nothing_else() -> None:
    assert rules_of("tfcanary-dashboard") == [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
    template = installed("tfcanary-dashboard")["spec"]["template"]["spec"]
    (container,) = template["containers"]
    assert template["serviceAccountName"] == "tfcanary-dashboard"
    assert container["image"] == f"tfcanary:{__version__}"
    port = container["ports"][0]["containerPort"]
    assert container["command"][-1] == str(port)
    service = next(one for one in of_kind("Service") if one["metadata"]["name"] == "tfcanary-dashboard")
    assert service["spec"]["selector"].items() <= installed("tfcanary-dashboard")["spec"]["template"]["metadata"]["labels"].items()
    assert policy("tfcanary-dashboard")["ingress"] == []
