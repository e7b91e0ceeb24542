"""The published form: compiled, fresh, loadable, and every gate reads an unnamed return value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from kfp import compiler, components, dsl, kubernetes

from pipelines import compile as compiling
from pipelines._pods import STEP, WATCH
from tfcanary import __version__
from tfcanary.adapters.kube.pod_patch import Claim
from tfcanary.adapters.kubeclient.object_names import WATCHES
from tfcanary.adapters.package_check import PACKAGE
from tfcanary.core.errors import Refused
from tfcanary.core.plan import MAX_STAGES, Plan
from tfcanary.core.plan.cluster import METRICS_SECRET, METRICS_SECRETS, S3_SECRET, S3_SECRETS, SIGNING_SECRET, SIGNING_SECRETS
from tfcanary.core.plan.receivers import SECRET, SECRETS
from tfcanary.run import steps
from tfcanary.run.submit import handle, package
from tfcanary.run.submit.remote_run import read_package

NAMES = sorted(compiling.definitions())


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    compiling.main(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_package_is_fresh(fresh: Path, name: str) -> None:
    """Stale? `make compile` writes it anew."""
    assert without_sdk(compiling.PACKAGES / f"{name}.yaml") == without_sdk(fresh / f"{name}.yaml")


def without_sdk(path: Path) -> list[str]:
    """Which patch of the SDK compiled it makes no package stale."""
    return [line for line in path.read_text().splitlines() if not line.startswith("sdkVersion:")]


@pytest.mark.parametrize("name", NAMES)
def test_the_package_loads_as_a_component_of_somebody_elses_pipeline(name: str) -> None:
    assert components.load_component_from_text(package(name)).name.replace("-", "_") == name


def test_every_definition_has_a_package_and_no_package_lacks_its_definition() -> None:
    assert sorted(p.stem for p in compiling.PACKAGES.glob("*.yaml")) == NAMES


@pytest.fixture(scope="module")
def graph() -> dict:
    document: dict = next(yaml.safe_load_all(package("canary_release")))
    return document


def conditions(node: object) -> list[str]:
    if isinstance(node, dict):
        here = [node["triggerPolicy"]["condition"]] if "condition" in node.get("triggerPolicy", {}) else []
        return here + [c for value in node.values() for c in conditions(value)]
    return [c for value in node for c in conditions(value)] if isinstance(node, list) else []


def test_the_graph_has_room_for_every_stage_and_one_gate_for_each_way_out(graph: dict) -> None:
    found = conditions(graph)
    words = [re.search(r"== '([a-z]+)'", c).group(1) for c in found]  # type: ignore[union-attr]
    assert words.count("advance") == MAX_STAGES - 1
    assert words.count("promote") == words.count("rollback") == MAX_STAGES
    assert words.count("pass") == 2


def test_every_gate_reads_an_unnamed_return_value(graph: dict) -> None:
    """The local runner evaluates a bare condition on a named output to false, silently."""
    assert all("-Output" in c for c in conditions(graph))


def test_nothing_is_cached(graph: dict) -> None:
    def tasks(node: object) -> list[dict]:
        if isinstance(node, dict):
            own = [t for t in node.get("dag", {}).get("tasks", {}).values() if isinstance(t, dict)]
            return own + [t for value in node.values() for t in tasks(value)]
        return []

    named = [t for t in tasks(graph) if "condition" not in t["taskInfo"]["name"] and t["componentRef"]["name"] in executors(graph)]
    assert named
    assert not any(t.get("cachingOptions", {}).get("enableCache") for t in named)


def executors(graph: dict) -> set[str]:
    return {name for name, component in graph["components"].items() if "executorLabel" in component}


def test_the_exit_step_takes_nothing_that_an_infrastructure_retry_breaks(graph: dict) -> None:
    guard = graph["components"]["comp-guard-release"]["inputDefinitions"]["parameters"]
    assert set(guard) == {"model_name", "platform", "run_id", "reason", "release_id"}


def containers(document: dict) -> list[dict]:
    return [e["container"] for e in document["deploymentSpec"]["executors"].values()]


def environment(container: dict) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env", ())}


def test_the_image_of_every_step_can_be_set_at_submission() -> None:
    changed, on_a_cluster = read_package("canary_release", "example/tfcanary:1")
    assert {one["image"] for one in containers(changed)} == {"example/tfcanary:1"}
    assert {environment(one)[PACKAGE] for one in containers(changed)} == {__version__}
    assert on_a_cluster == list(yaml.safe_load_all(package("canary_release")))[1]


def test_every_step_gets_the_volume_of_the_bucket_as_the_sdk_would_mount_it(tmp_path: Path) -> None:
    @dsl.container_component
    def step():  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="example/tfcanary:1")

    @dsl.pipeline(name="mounted")
    def mounted():  # type: ignore[no-untyped-def]
        kubernetes.mount_pvc(step(), "models", "/srv", "team")

    compiler.Compiler().compile(mounted, str(tmp_path / "mounted.yaml"))
    _, on_a_cluster = yaml.safe_load_all((tmp_path / "mounted.yaml").read_text())
    (by_sdk,) = on_a_cluster["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    _, pods = read_package("canary_release", claim=Claim("models", "/srv", "team"))
    executors = pods["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    assert executors
    assert all(one["pvcMount"] == by_sdk["pvcMount"] for one in executors)


PIPELINES = ["abort_release", "canary_release"]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_knows_by_which_version_it_was_compiled(name: str) -> None:
    document = next(yaml.safe_load_all(package(name)))
    assert [environment(one)[PACKAGE] for one in containers(document)] == [__version__] * len(containers(document))


@pytest.mark.parametrize("name", [*PIPELINES, "watch_stage", "judge_canary"])
def test_the_package_compiles_into_somebody_elses_pipeline(tmp_path: Path, name: str) -> None:
    """The READMEs' own way to use one. A pipeline's steps keep what they know there."""
    theirs = components.load_component_from_text(package(name))
    inputs = {one: WORDS.get(kind, "a") for one, kind in kinds(package(name)).items()}
    artifacts = [one for one, kind in kinds(package(name)).items() if kind == "artifact"]

    @dsl.pipeline(name="theirs")
    def pipeline():
        given = {one: dsl.importer(artifact_uri="gs://a/b", artifact_class=dsl.Artifact).output for one in artifacts}
        theirs(**{**inputs, **given})

    compiler.Compiler().compile(pipeline, str(tmp_path / "theirs.yaml"))
    document = next(yaml.safe_load_all((tmp_path / "theirs.yaml").read_text()))
    steps = [one["container"] for one in document["deploymentSpec"]["executors"].values() if "container" in one]
    assert all(environment(one).get(PACKAGE) == __version__ for one in steps) is (name in PIPELINES)


WORDS: dict[str, object] = {"NUMBER_INTEGER": 0, "STRUCT": {}}
"""A value of each type of parameter; of a text it is any."""


def kinds(text: str) -> dict[str, str]:
    """The type of each input."""
    inputs = next(yaml.safe_load_all(text))["root"]["inputDefinitions"]
    parameters = {name: one["parameterType"] for name, one in inputs.get("parameters", {}).items()}
    return parameters | dict.fromkeys(inputs.get("artifacts", {}), "artifact")


def test_a_package_of_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PACKAGE, "0.0.1")
    sentence = f"the pipeline was compiled by tfcanary 0.0.1, and its image has tfcanary {__version__}; submit the package of"
    with pytest.raises(Refused, match=re.escape(sentence)):
        steps.open_step(f"local://{tmp_path}", "digits", {}, "run-1")
    with pytest.raises(Refused, match=re.escape(sentence)):
        steps.reopen_step(f"local://{tmp_path}", "digits")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pod_has_its_labels_a_pull_policy_and_an_end(name: str) -> None:
    pipeline, on_a_cluster = yaml.safe_load_all(package(name))
    pods = on_a_cluster["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods.keys() == pipeline["deploymentSpec"]["executors"].keys()
    for step, pod in pods.items():
        assert pod["imagePullPolicy"] == "IfNotPresent"
        assert pod["podMetadata"]["labels"] == {
            "app.kubernetes.io/part-of": "tfcanary",
            "app.kubernetes.io/component": "step",
            "sidecar.istio.io/inject": "false",
            **({WATCHES: "true"} if "watch-stage" in step else {}),
        }
        assert int(pod["activeDeadlineSeconds"]) == (WATCH if "watch-stage" in step or "promote" in step else STEP)


UNITS = {"m": 1e-3, "": 1.0, "Mi": 2.0**20, "Gi": 2.0**30}


def quantity(text: str) -> float:
    """A quantity as Kubernetes writes it."""
    found = re.fullmatch(r"([0-9]+)(m|Mi|Gi|)", text)
    assert found, text
    return int(found.group(1)) * UNITS[found.group(2)]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_requests_what_it_needs_and_has_a_limit(name: str) -> None:
    """A namespace with a quota takes no pod without them."""
    for step, executor in next(yaml.safe_load_all(package(name)))["deploymentSpec"]["executors"].items():
        of = executor["container"]["resources"]
        for kind in ("Cpu", "Memory"):
            least, most = (quantity(of[f"resource{kind}{what}"]) for what in ("Request", "Limit"))
            assert 0 < least <= most, step
        assert quantity(of["resourceMemoryRequest"]) >= 2 * 110 * 2**20, "a bare step has 110 MiB"


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pod_may_run_under_the_restricted_pod_security_standard(name: str) -> None:
    """Kubeflow itself forbids privileges and capabilities and names a seccomp profile; it leaves out this."""
    on_a_cluster = list(yaml.safe_load_all(package(name)))[1]
    for step, pod in on_a_cluster["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        assert pod["securityContext"] == {"runAsNonRoot": True}, step
        assert not {"pvcMount", "hostPath"} & set(pod)


def test_the_step_that_loads_models_has_room_for_what_the_plan_allows_them() -> None:
    def limit(memory: dict[str, int]) -> float:
        pipeline, _ = read_package("canary_release", memory=memory)
        return quantity(
            pipeline["deploymentSpec"]["executors"]["exec-validate-savedmodel"]["container"]["resources"]["resourceMemoryLimit"]
        )

    assert limit({}) >= (Plan().validation.memory_mib + handle.BESIDE_TRIAL) * 2**20
    assert limit({"validate_savedmodel": 33_000}) == 33_000 * 2**20
    loading = next(yaml.safe_load_all(package("canary_release")))["deploymentSpec"]["executors"]["exec-validate-savedmodel"]
    assert quantity(loading["container"]["resources"]["resourceMemoryRequest"]) == handle.LEAST_MEMORY * 2**20


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize(
    ("secret", "folder", "steps"),
    [
        (SECRET, SECRETS, ("exec-guard-release", "exec-judge", "exec-promote", "exec-rollback")),
        (METRICS_SECRET, METRICS_SECRETS, ("exec-validate", "exec-watch-stage")),
        (S3_SECRET, S3_SECRETS, ("exec-",)),
        (SIGNING_SECRET, SIGNING_SECRETS, ("exec-promote",)),
    ],
)
def test_the_steps_that_need_a_secret_find_it_and_no_other_step_does(name: str, secret: str, folder: str, steps: tuple[str, ...]) -> None:
    """Those that tell have secret addresses, those that query Prometheus its credentials; any step may read a bucket."""
    on_a_cluster = list(yaml.safe_load_all(package(name)))[1]
    pods = on_a_cluster["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = {step: [one for one in pod.get("secretAsVolume", ()) if one["secretName"] == secret] for step, pod in pods.items()}
    assert [step for step, found in mounts.items() if found] == [step for step in pods if step.startswith(steps)]
    assert all((one["mountPath"], one["optional"]) == (folder, True) for found in mounts.values() for one in found)


def test_no_pod_is_ended_before_the_defaults_of_the_plan_are_over() -> None:
    plan = Plan()
    assert plan.stage.maximum.total_seconds() < WATCH
    waits = plan.deploy.ready_timeout + plan.deploy.warm_timeout + plan.deploy.heartbeat
    assert max(waits, plan.validation.timeout).total_seconds() < STEP
