"""The published form: compiled, fresh, loadable, and every gate reads an unnamed return value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from kfp import components

from pipelines import compile as compiling
from tfcanary.plan import MAX_STAGES
from tfcanary.submit import package
from tfcanary.submit.remote import with_image

NAMES = sorted(compiling.definitions())


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    compiling.main(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_package_is_fresh(fresh: Path, name: str) -> None:
    """Stale? `make compile` writes it anew."""
    assert (compiling.PACKAGES / f"{name}.yaml").read_text() == (fresh / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_package_loads_as_a_component_of_somebody_elses_pipeline(name: str) -> None:
    assert components.load_component_from_text(package(name)).name.replace("-", "_") == name


def test_every_definition_has_a_package_and_no_package_lacks_its_definition() -> None:
    assert sorted(p.stem for p in compiling.PACKAGES.glob("*.yaml")) == NAMES


@pytest.fixture(scope="module")
def graph() -> dict:
    document: dict = yaml.safe_load(package("canary_release"))
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
    assert set(guard) == {"model_name", "platform", "run_id", "reason"}


def test_the_image_of_every_step_can_be_set_at_submission() -> None:
    changed = yaml.safe_load(with_image(package("canary_release"), "example/tfcanary:1"))
    images = {e["container"]["image"] for e in changed["deploymentSpec"]["executors"].values()}
    assert images == {"example/tfcanary:1"}
