"""What is applied to a cluster, to the letter where it matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import text_format

from tfcanary.adapters.kube import manifests, serving_flags
from tfcanary.adapters.kubeclient import object_names
from tfcanary.core.domain import ModelVersion, Pool, Role, RunningPool, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import BucketPlan, DeployPlan, GuardPodPlan, MetricsPlan, NotifyPlan, Plan, ServiceType, ServingPlan
from tfcanary.tf.modelserver import server_options
from tfcanary.tf.wire import messages

IMAGE = "tensorflow/serving@sha256:" + "a" * 64
VERSION = ModelVersion(42, "gs://bucket/models/m/42", "sha256:" + "b" * 64)
POOL = RunningPool(VERSION)
PLAN = Plan(serving=ServingPlan(image=IMAGE, cpu="1500m", memory="3Gi"), deploy=DeployPlan(ready_timeout=timedelta(seconds=301)))


def pod_of(deployment: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def container_of(deployment: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod_of(deployment)["containers"]
    return dict(found)


def parsed(text: str, kind: Any) -> Any:
    return text_format.Parse(text, kind(), descriptor_pool=messages.POOL)


# The servers' own configuration


def test_a_server_serves_this_version_and_no_other() -> None:
    config = parsed(serving_flags.files("m", VERSION, PLAN.serving)["models.config"], messages.ModelServerConfig)
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("m", "gs://bucket/models/m", "tensorflow")
    assert list(model.model_version_policy.specific.versions) == [42]
    assert not model.HasField("logging_config")  # a stock server refuses to start with one


@pytest.mark.parametrize("folder", ['/a"b\\c', "/models } } evil {", "/zwei\nzeilen", "/größe/模型"])
def test_a_path_stays_one_value(folder: str) -> None:
    version = ModelVersion(7, f"{folder}/7", "sha256:")
    config = parsed(serving_flags.files("m", version, PLAN.serving)["models.config"], messages.ModelServerConfig)
    assert [one.base_path for one in config.model_config_list.config] == [folder]


@pytest.mark.parametrize("uri", ["gs://bucket/m/43", "models/42", "s3://bucket/m/43", "http://bucket/m/42", "/models/m/042", ""])
def test_a_directory_that_is_not_called_by_the_number_is_refused(uri: str) -> None:
    with pytest.raises(Refused, match="must be a gs:// or s3:// URI or an absolute path, and end in /42"):
        serving_flags.files("m", ModelVersion(42, uri, "sha256:"), PLAN.serving)


def test_the_metrics_page_is_where_the_sources_look_for_it() -> None:
    from tfcanary.adapters.metrics.scrape import PATH

    config = parsed(serving_flags.files("m", VERSION, PLAN.serving)["monitoring.config"], messages.MonitoringConfig)
    assert (config.prometheus_config.enable, config.prometheus_config.path) == (True, PATH)


def test_every_flag_is_one_that_the_server_knows() -> None:
    """A name that is wrong would only be remarked on, and the server would run without it."""
    for plan in (PLAN.serving, ServingPlan(batching="max_batch_size { value: 8 }")):
        _, warnings = server_options.parse(serving_flags.flags(plan).arguments())
        assert warnings == ()


def test_a_bad_version_is_known_at_once_and_the_bucket_is_asked_once() -> None:
    arguments = serving_flags.flags(PLAN.serving).arguments()
    assert {"--max_num_load_retries=1", "--load_retry_interval_micros=1000000", "--file_system_poll_wait_seconds=0"} <= set(arguments)
    assert "--enable_profiler=false" in arguments


@pytest.mark.parametrize(("cpu", "threads"), [("1", 1), ("1500m", 2), ("0.1", 1), ("4", 4), ("2.5", 3), (".5", 1)])
def test_tensorflows_threads_are_the_pods_cpus(cpu: str, threads: int) -> None:
    arguments = serving_flags.flags(ServingPlan(cpu=cpu)).arguments()
    assert f"--tensorflow_intra_op_parallelism={threads}" in arguments
    assert f"--tensorflow_inter_op_parallelism={threads}" in arguments
    assert f"--rest_api_num_threads={4 * threads}" in arguments
    assert not any(one.startswith("--tensorflow_session_parallelism") for one in arguments)  # the server takes no three of them


@pytest.mark.parametrize("cpu", ["", "0", "-1", "two", "1k", "1 "])
def test_cpus_that_are_none_are_refused(cpu: str) -> None:
    with pytest.raises(Refused, match=r"serving\.cpu"):
        serving_flags.flags(ServingPlan(cpu=cpu))


def test_batching_is_off_unless_the_plan_gives_its_parameters() -> None:
    assert not any("batching" in one for one in serving_flags.flags(PLAN.serving).arguments())
    assert "batching.config" not in serving_flags.files("m", VERSION, PLAN.serving)
    with_batching = ServingPlan(batching="max_batch_size { value: 8 }\n")
    assert serving_flags.files("m", VERSION, with_batching)["batching.config"] == "max_batch_size { value: 8 }\n"
    assert "--batching_parameters_file=/etc/tfserving/batching.config" in serving_flags.flags(with_batching).arguments()


def test_another_content_is_another_config_map() -> None:
    first = manifests.config_map("m", POOL, PLAN.serving)
    again = manifests.config_map("m", POOL, ServingPlan(image=IMAGE, cpu="4"))
    other = manifests.config_map("m", POOL, ServingPlan(batching="x"))
    assert first == again
    assert first["immutable"] is True
    assert first["metadata"]["name"].startswith("m-v42-")
    assert first["metadata"]["name"] != other["metadata"]["name"]
    assert manifests.deployment("m", POOL, PLAN)["spec"]["template"] != manifests.deployment("m", POOL, Plan())["spec"]["template"]


# Deployments


def test_a_deployment_says_whose_it_is_and_what_it_serves() -> None:
    deployment = manifests.deployment("m", replace(POOL, least=3), PLAN)
    assert (deployment["metadata"]["name"], deployment["spec"]["replicas"]) == ("m-v42", 3)
    labels = {**object_names.labels("m", "server"), object_names.VERSION: "42", object_names.ROLE: "serving"}
    assert deployment["metadata"]["labels"] == deployment["spec"]["template"]["metadata"]["labels"] == labels
    assert deployment["spec"]["selector"] == {"matchLabels": object_names.selector("m", Pool(42))}
    annotations = deployment["metadata"]["annotations"]
    assert (annotations[object_names.DIGEST], annotations["tfcanary.dev/uri"]) == (VERSION.digest, VERSION.uri)


def test_another_template_has_another_hash_and_another_size_has_not() -> None:
    def hashed(pool: RunningPool, plan: Plan) -> str:
        return str(manifests.deployment("m", pool, plan)["metadata"]["annotations"][manifests.TEMPLATE])

    assert hashed(POOL, PLAN) == hashed(replace(POOL, least=7), PLAN)
    assert hashed(POOL, PLAN) != hashed(POOL, replace(PLAN, serving=replace(PLAN.serving, cpu="4")))


@pytest.mark.parametrize("role", [Role.BASELINE, Role.PREVIEW])
def test_pools_of_one_version_have_names_and_labels_of_their_own(role: Role) -> None:
    other, serving = (manifests.deployment("m", pool, PLAN) for pool in (replace(POOL, role=role), POOL))
    assert other["metadata"]["name"] == f"m-v42-{role.value}"
    assert manifests.config_map("m", replace(POOL, role=role), PLAN.serving)["metadata"]["name"].startswith(f"m-v42-{role.value}-")
    for one, of_another in ((serving, other), (other, serving)):
        selector = one["spec"]["selector"]["matchLabels"]
        assert not selector.items() <= of_another["spec"]["template"]["metadata"]["labels"].items()
        assert selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        assert object_names.pool_of(one["metadata"]["labels"]) == object_names.pool_of(selector)


@pytest.mark.parametrize(
    ("labels", "pool"),
    [
        ({object_names.VERSION: "7"}, Pool(7)),
        ({object_names.VERSION: "7", object_names.ROLE: "baseline"}, Pool(7, Role.BASELINE)),
        ({object_names.VERSION: "7", object_names.ROLE: "unheard-of"}, None),
        ({object_names.VERSION: object_names.NOTHING}, None),
        ({"app": "m"}, None),
    ],
)
def test_labels_without_a_role_are_those_of_a_serving_pool(labels: dict[str, str], pool: Pool | None) -> None:
    assert object_names.pool_of(labels) == pool


def test_constraints_of_spreading_count_the_pods_of_one_version_unless_they_say_otherwise() -> None:
    zones = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    theirs = {**zones, "labelSelector": {"matchLabels": {"team": "a"}}}
    plan = replace(PLAN, serving=replace(PLAN.serving, topology_spread=(zones, theirs)))
    found = pod_of(manifests.deployment("m", POOL, plan))["topologySpreadConstraints"]
    assert found == [{**zones, "labelSelector": {"matchLabels": object_names.selector("m", Pool(42))}}, theirs]
    assert "topologySpreadConstraints" not in pod_of(manifests.deployment("m", POOL, PLAN))
    with pytest.raises(ValueError, match=r"topology_spread\[1\]: lacks whenUnsatisfiable; each constraint has maxSkew, topologyKey"):
        replace(PLAN.serving, topology_spread=(zones, {"maxSkew": 1, "topologyKey": "zone"}))


def test_a_rollout_ends_no_pod_before_its_successor_is_there() -> None:
    spec = manifests.deployment("m", replace(POOL, least=3), PLAN)["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert spec["progressDeadlineSeconds"] == 301


def test_no_probe_is_a_request_and_startup_has_the_plans_time() -> None:
    server = container_of(manifests.deployment("m", POOL, PLAN))
    assert all(set(server[probe]) & {"httpGet", "grpc", "exec"} == set() for probe in ("startupProbe", "readinessProbe"))
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] >= 301
    assert "livenessProbe" not in server


@pytest.mark.parametrize("deployment", [manifests.deployment("m", POOL, PLAN), manifests.guard("m", "models", "r", PLAN, "tfcanary:1")])
def test_pods_run_without_root_and_privileges(deployment: dict[str, Any]) -> None:
    pod, container = pod_of(deployment), container_of(deployment)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


def test_a_model_server_has_no_token_its_resources_and_thirty_seconds_for_its_last_requests() -> None:
    pod = pod_of(manifests.deployment("m", POOL, PLAN))
    assert (pod["automountServiceAccountToken"], pod["terminationGracePeriodSeconds"]) == (False, 30)
    server = container_of(manifests.deployment("m", POOL, PLAN))
    assert server["resources"] == {"requests": {"cpu": "1500m", "memory": "3Gi"}, "limits": {"memory": "3Gi"}}
    assert (server["image"], server["command"]) == (IMAGE, ["/usr/bin/tensorflow_model_server"])


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(Refused, match="use a shorter model name"):
        manifests.deployment("m" * 50, RunningPool(ModelVersion(10**14, f"/m/{10**14}", "sha256:")), PLAN)


# A version in S3


IN_S3 = RunningPool(ModelVersion(42, "s3://bucket/models/m/42", "sha256:" + "b" * 64))


def pulling(plan: Plan = PLAN, image: str = "tfcanary:1", pool: RunningPool = IN_S3) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod, and its init container."""
    pod = pod_of(manifests.deployment("m", pool, plan, image))
    (container,) = pod["initContainers"]
    return pod, container


def test_a_version_in_s3_is_copied_into_the_pod_and_served_from_there() -> None:
    pod, pull = pulling()
    assert (pull["name"], pull["image"]) == ("pull", "tfcanary:1")
    assert pull["command"] == [
        *("python", "-m", "tfcanary", "pull", "s3://bucket/models/m/42"),
        *("--digest", "sha256:" + "b" * 64, "--into", "/models"),
    ]
    config = parsed(serving_flags.files("m", IN_S3.version, PLAN.serving)["models.config"], messages.ModelServerConfig)
    assert [one.base_path for one in config.model_config_list.config] == ["/models"]
    assert {"name": "version", "mountPath": "/models"} in pull["volumeMounts"]
    (server,) = pod["containers"]
    assert {"name": "version", "mountPath": "/models", "readOnly": True} in server["volumeMounts"]
    assert {"name": "version", "emptyDir": {}} in pod["volumes"], "a volume that is as old as the pod: two pods share nothing"


def test_what_copies_a_version_is_confined_and_bounded_and_its_last_words_are_kept() -> None:
    _, pull = pulling()
    assert pull["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pull["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    assert pull["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_credentials_come_from_a_secret_that_need_not_exist_and_the_server_does_not_see_them() -> None:
    """Without the Secret the account of the pod is used, to which a cloud may give a role."""
    pod, pull = pulling()
    assert {"name": "s3", "secret": {"secretName": "tfcanary-s3", "optional": True}} in pod["volumes"]
    assert {"name": "s3", "mountPath": "/etc/tfcanary/s3", "readOnly": True} in pull["volumeMounts"]
    assert "s3" not in [one["name"] for one in pod["containers"][0]["volumeMounts"]]
    account = PLAN.serving.pod_patch | {"spec": {"serviceAccountName": "reader"}}
    assert pulling(replace(PLAN, serving=replace(PLAN.serving, pod_patch=account)))[0]["serviceAccountName"] == "reader"


def test_a_version_that_the_server_reads_itself_is_not_copied() -> None:
    pod = pod_of(manifests.deployment("m", POOL, PLAN, "tfcanary:1"))
    assert "initContainers" not in pod
    assert [one["name"] for one in pod["volumes"]] == ["config", "tmp"]


def test_a_uri_reaches_the_copying_container_as_it_is() -> None:
    _, pull = pulling(pool=RunningPool(ModelVersion(42, "s3://bucket/$(HOME)/42", "sha256:")))
    assert expanded(pull["command"][4]) == "s3://bucket/$(HOME)/42"


def test_the_image_of_the_step_makes_no_other_template() -> None:
    """The next release's steps may run in another image; servers that run are not replaced for that."""
    first, other = (manifests.deployment("m", IN_S3, PLAN, image) for image in ("tfcanary:1", "tfcanary:2"))
    assert first["metadata"]["annotations"] == other["metadata"]["annotations"]
    assert first["spec"]["template"] != other["spec"]["template"]


# Services


def test_a_service_takes_rest_and_grpc_to_one_versions_pods() -> None:
    service = manifests.service("m", Track.CANARY, object_names.selector("m", Pool(42)), ServingPlan(service_type=ServiceType.NODE_PORT))
    assert (service["metadata"]["name"], service["spec"]["type"]) == ("m-canary", "NodePort")
    assert service["spec"]["selector"] == {object_names.MODEL: "m", object_names.VERSION: "42", object_names.ROLE: "serving"}
    ports = {one["name"]: (one["port"], one["targetPort"], one["appProtocol"]) for one in service["spec"]["ports"]}
    assert ports == {"rest": (8501, 8501, "http"), "grpc": (8500, 8500, "kubernetes.io/h2c")}


def test_a_track_that_points_at_nothing_selects_no_pod() -> None:
    selector = manifests.service("m", Track.CANARY, object_names.selector("m", None), PLAN.serving)["spec"]["selector"]
    assert selector != {}  # such a Service would keep what it had
    assert selector[object_names.VERSION] == "none"


# The guard


def expanded(argument: str) -> str:
    """As the kubelet reads it, with no variable defined."""
    return argument.replace("$$", "$")


@pytest.mark.parametrize("run_id", ["run-1", "a b; $(HOSTNAME) $$ $x `id`", "--help", "ä\"'\\"])
def test_a_run_id_reaches_the_guard_as_it_is(run_id: str) -> None:
    deployment = manifests.guard("m", "models", run_id, PLAN, "tfcanary:1")
    command = [expanded(one) for one in container_of(deployment)["command"]]
    assert command[:4] == ["python", "-m", "tfcanary", "guard"]
    assert command[4:] == ["--platform", "kube://models", "--model", "m", f"--run-id={run_id}", "--metrics-port", "9464"]
    assert "$(" not in container_of(deployment)["command"][-1].replace("$$", "")
    assert deployment["metadata"]["annotations"] == {"tfcanary.dev/run-id": run_id}


def test_of_a_guard_there_is_one_with_the_plans_account() -> None:
    deployment = manifests.guard("m", "models", "r", Plan(guard=GuardPodPlan(service_account="watcher")), "tfcanary:1")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert pod_of(deployment)["serviceAccountName"] == "watcher"
    servers = object_names.selector("m", Pool(42))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert any(labels.get(name) != value for name, value in servers.items())  # no track's Service selects it


def test_a_guard_finds_secret_addresses_where_the_plan_tells_somebody() -> None:
    secret = {"name": "notify", "secret": {"secretName": "tfcanary-notify", "optional": True}}
    for plan, has in ((PLAN, False), (replace(PLAN, notify=(NotifyPlan(url_file="/etc/tfcanary/notify/slack"),)), True)):
        deployment = manifests.guard("m", "models", "r", plan, "tfcanary:1")
        assert (secret in pod_of(deployment)["volumes"]) is has
        mount = {"name": "notify", "mountPath": "/etc/tfcanary/notify", "readOnly": True}
        assert (mount in container_of(deployment)["volumeMounts"]) is has


def test_a_guard_finds_the_credentials_of_prometheus_where_the_plan_names_a_file() -> None:
    secret = {"name": "metrics", "secret": {"secretName": "tfcanary-metrics", "optional": True}}
    for plan, has in ((PLAN, False), (replace(PLAN, metrics=MetricsPlan(token_file="/etc/tfcanary/metrics/token")), True)):
        deployment = manifests.guard("m", "models", "r", plan, "tfcanary:1")
        assert (secret in pod_of(deployment)["volumes"]) is has
        mount = {"name": "metrics", "mountPath": "/etc/tfcanary/metrics", "readOnly": True}
        assert (mount in container_of(deployment)["volumeMounts"]) is has


def test_a_guard_finds_the_credentials_of_s3() -> None:
    deployment = manifests.guard("m", "models", "r", replace(PLAN, bucket=BucketPlan(canary="s3://bucket/models")), "tfcanary:1")
    assert {"name": "s3", "secret": {"secretName": "tfcanary-s3", "optional": True}} in pod_of(deployment)["volumes"]
    assert {"name": "s3", "mountPath": "/etc/tfcanary/s3", "readOnly": True} in container_of(deployment)["volumeMounts"]


def test_a_guard_sees_a_bucket_that_is_a_directory_and_may_write_there() -> None:
    mount = {"name": "models", "mountPath": "/srv", "readOnly": True}
    volume = {"name": "models", "nfs": {"server": "files", "path": "/"}}
    patch = {"spec": {"volumes": [volume], "containers": [{"name": "server", "volumeMounts": [mount]}]}}
    plan = Plan(serving=ServingPlan(image=IMAGE, pod_patch=patch), bucket=BucketPlan(canary="/srv/models"))
    deployment = manifests.guard("m", "models", "r", plan, "tfcanary:1")
    assert volume in pod_of(deployment)["volumes"]
    assert {"name": "models", "mountPath": "/srv"} in container_of(deployment)["volumeMounts"]
