"""What a real API server answers, and what it becomes."""

from __future__ import annotations

import pytest

from tests.cluster import kubeconfig
from tests.cluster.cluster import Cluster
from tests.cluster.manifests import answering, available, deployment
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient.api import Api, NoAnswer
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, PAGES, PODS, SERVICES, Json, Resource
from tfcanary.core.errors import Conflict, Refused

pytestmark = pytest.mark.slow

CRON = Resource("cron.test/v1", "crons", "Cron", needs="Cron's definitions")
QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")


@pytest.fixture
def api(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return Api(namespace, patience=20)


def config_map(name: str, data: Json, **metadata: object) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data}


def test_an_object_is_made_read_changed_listed_and_deleted(api: Api) -> None:
    assert api.get(CONFIG_MAPS, "a") is None
    api.create(CONFIG_MAPS, config_map("a", {"x": "1"}, labels={"of": "m"}))
    api.merge(CONFIG_MAPS, "a", {"data": {"x": None, "y": "2"}})
    api.patch(CONFIG_MAPS, "a", [{"op": "test", "path": "/data/y", "value": "2"}, {"op": "add", "path": "/data/z", "value": "3"}])
    (found,) = api.list(CONFIG_MAPS, {"of": "m"})
    assert found["data"] == {"y": "2", "z": "3"}
    assert {one["manager"] for one in found["metadata"]["managedFields"]} == {"tfcanary"}
    assert api.list(CONFIG_MAPS, {"of": "another"}) == ()
    for _ in range(2):
        api.delete(CONFIG_MAPS, "a")
    until(lambda: api.get(CONFIG_MAPS, "a") is None)


def test_what_is_applied_anew_without_a_field_has_it_no_longer(api: Api) -> None:
    api.apply(CONFIG_MAPS, config_map("a", {"x": "1", "y": "1"}))
    assert api.apply(CONFIG_MAPS, config_map("a", {"x": "2"}))["data"] == {"x": "2"}


def test_a_dry_run_changes_nothing(api: Api) -> None:
    assert api.apply(CONFIG_MAPS, config_map("a", {"x": "1"}), dry_run=True)["data"] == {"x": "1"}
    assert api.get(CONFIG_MAPS, "a") is None


def test_a_field_of_somebody_else_is_a_conflict_that_names_both(api: Api, cluster: Cluster) -> None:
    cluster.api.apply(config_map("a", {"x": "theirs", "y": "theirs"}), api.namespace, manager="helm")
    sentence = rf"apply ConfigMap a in namespace {api.namespace}: others hold \.data\.x \(owned by helm\), \.data\.y \(owned by helm\)"
    with pytest.raises(Conflict, match=sentence):
        api.apply(CONFIG_MAPS, config_map("a", {"x": "ours", "y": "ours", "z": "ours"}))
    found = api.apply(CONFIG_MAPS, config_map("a", {"x": "ours"}), force=True)
    assert found["data"] == {"x": "ours", "y": "theirs"}


def test_what_we_patched_ourselves_is_no_conflict_when_we_apply(api: Api, cluster: Cluster) -> None:
    api.apply(DEPLOYMENTS, deployment("web", {"name": "main", "image": "none"}, replicas=0))
    api.patch(
        DEPLOYMENTS, "web", [{"op": "test", "path": "/spec/replicas", "value": 0}, {"op": "replace", "path": "/spec/replicas", "value": 2}]
    )
    assert api.apply(DEPLOYMENTS, deployment("web", {"name": "main", "image": "none"}, replicas=0))["spec"]["replicas"] == 0
    cluster.api.merge(f"{DEPLOYMENTS.path(api.namespace, 'web')}?fieldManager=kubectl-edit", {"spec": {"replicas": 1}})
    with pytest.raises(Conflict, match=r"\.spec\.replicas \(owned by kubectl-edit\)"):
        api.apply(DEPLOYMENTS, deployment("web", {"name": "main", "image": "none"}, replicas=0))


def test_a_test_that_fails_is_a_conflict(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("a", {"x": "1"}))
    for path in ("/data/x", "/data/missing"):
        with pytest.raises(Conflict, match=r"patch ConfigMap a in namespace .*: it is no longer as it was read"):
            api.patch(CONFIG_MAPS, "a", [{"op": "test", "path": path, "value": "2"}, {"op": "replace", "path": "/data/x", "value": "3"}])


def test_a_patch_that_does_not_fit_is_refused(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("a", {"x": "1"}))
    with pytest.raises(Refused, match="the patch does not fit the object; it changes /data/missing"):
        api.patch(CONFIG_MAPS, "a", [{"op": "remove", "path": "/data/missing"}])
    with pytest.raises(Refused, match='configmaps "b" not found'):
        api.patch(CONFIG_MAPS, "b", [{"op": "test", "path": "/data/x", "value": "1"}])


def test_an_object_that_is_not_valid_is_refused_with_the_servers_words_even_by_a_patch_that_tests(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("a", {"x": "1"}))
    bad = {"op": "add", "path": "/metadata/labels", "value": {"a": "no label"}}
    with pytest.raises(Refused, match=r"422 .* a valid label must be"):
        api.patch(CONFIG_MAPS, "a", [{"op": "test", "path": "/data/x", "value": "1"}, bad])
    with pytest.raises(Refused, match=r"422 .* a valid label must be"):
        api.apply(CONFIG_MAPS, config_map("a", {}, labels={"a": "no label"}))


def test_a_body_that_does_not_fit_the_schema_is_refused_at_once(api: Api) -> None:
    with pytest.raises(Refused, match=r"\.dada: field not declared in schema"):
        api.apply(CONFIG_MAPS, {**config_map("a", {}), "dada": {}})


def test_an_older_state_of_an_object_is_not_written_over_a_newer_one(api: Api) -> None:
    version = api.create(CONFIG_MAPS, config_map("a", {"x": "1"}))["metadata"]["resourceVersion"]
    api.merge(CONFIG_MAPS, "a", {"metadata": {"resourceVersion": version}, "data": {"x": "2"}})
    for write in (api.merge, lambda resource, _, body: api.apply(resource, config_map("a", {"y": "1"}, **body["metadata"]))):
        with pytest.raises(Conflict, match="it was changed meanwhile"):
            write(CONFIG_MAPS, "a", {"metadata": {"resourceVersion": version}})
    with pytest.raises(Conflict, match=r"create ConfigMap a in namespace .*: it exists already"):
        api.create(CONFIG_MAPS, config_map("a", {}))


def test_a_kind_that_is_missing_is_named_with_what_brings_it(api: Api) -> None:
    for ask in (lambda: api.get(CRON, "a"), lambda: api.list(CRON), lambda: api.apply(CRON, config_map("a", {}))):
        with pytest.raises(Refused, match=rf"{api.server} knows no Cron of cron\.test/v1; install Cron's definitions"):
            ask()


def test_a_namespace_that_is_missing_is_named(api: Api) -> None:
    nowhere = api.elsewhere("no-such-namespace")
    for write in (lambda: nowhere.apply(CONFIG_MAPS, config_map("a", {})), lambda: nowhere.create(CONFIG_MAPS, config_map("a", {}))):
        with pytest.raises(Refused, match="namespace no-such-namespace does not exist on https://127"):
            write()
    assert nowhere.get(CONFIG_MAPS, "a") is None
    assert nowhere.list(CONFIG_MAPS) == ()


def test_who_may_not_is_told_what_to_grant(api: Api, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.account_kubeconfig(api.namespace, "default")))
    nobody = Api(api.namespace)
    user = f"user system:serviceaccount:{api.namespace}:default is not allowed to"
    for verb, ask in {
        "get": lambda: nobody.get(DEPLOYMENTS, "a"),
        "list": lambda: nobody.list(DEPLOYMENTS),
        "patch": lambda: nobody.apply(DEPLOYMENTS, deployment("a", {})),
        "delete": lambda: nobody.delete(DEPLOYMENTS, "a"),
    }.items():
        what = rf"grant it the verb `{verb}` on `deployments` in API group `apps` in namespace {api.namespace}"
        with pytest.raises(Refused, match=f"Deployment.* in namespace {api.namespace}: {user}; {what}"):
            ask()
    with pytest.raises(Refused, match="grant it the verb `get` on `pods/proxy` in API group ``"):
        nobody.page("a", 8501, "/")
    assert not nobody.is_allowed("get", DEPLOYMENTS)
    assert not nobody.is_allowed("get", PAGES)


def test_who_asks_with_a_token_that_is_none_is_told_so(api: Api, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubeconfig.write(cluster.folder / "stranger.kubeconfig", cluster.api.server, cluster.authority, {"token": "none"}, api.namespace)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(Refused, match=r"does not accept the credentials \(401\)"):
        Api(api.namespace).get(SERVICES, "a")


def test_the_rights_of_an_administrator_are_seen(api: Api) -> None:
    assert api.is_allowed("patch", DEPLOYMENTS)
    assert api.is_allowed("get", PAGES)


def test_a_quota_that_is_used_up_is_refused_in_the_servers_words(api: Api) -> None:
    api.create(QUOTAS, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"services": "0"}}})
    until(lambda: (api.get(QUOTAS, "few") or {}).get("status", {}).get("hard"))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}]}}
    with pytest.raises(Refused, match=r"forbidden: .*exceeded quota: few, requested: services=1"):
        api.create(SERVICES, service)


def test_a_list_is_read_to_its_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfcanary.adapters.kubeclient.api.PAGE", 2)
    for number in range(5):
        api.create(CONFIG_MAPS, config_map(f"a{number}", {}, labels={"of": "m"}))
    assert [one["metadata"]["name"] for one in api.list(CONFIG_MAPS, {"of": "m"})] == [f"a{number}" for number in range(5)]


def test_a_page_of_a_pod_is_read_through_the_server(api: Api, cluster: Cluster) -> None:
    cluster.apply([deployment("web", answering("hello"))], api.namespace)
    until(lambda: available(cluster.api, api.namespace, "web"))
    (pod,) = api.list(PODS)
    name = pod["metadata"]["name"]
    assert api.page(name, 8501, "/monitoring/prometheus/metrics") == "hello"
    with pytest.raises(NoAnswer, match=f"pod {name} in namespace {api.namespace}: / on port 9: 503 .*refused"):
        api.page(name, 9, "/")
    with pytest.raises(NoAnswer, match='404 pods "none" not found'):
        api.page("none", 8501, "/")
