"""What the Kubeflow UI shows of a pipeline: the run form, the graph's names, and the visualizations of each step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from pipelines import compile as compiling
from tfcanary.run.submit import package

NAMES = sorted(compiling.definitions())
PIPELINES = ["abort_release", "canary_release"]
GATES = {"compare-predictions", "evaluate-drift", "evaluate-metrics", "evaluate-quality", "judge-canary", "guard-release"}
"""What has numbers that are worth comparing between runs; the watch's are the judge's."""
WORDLESS = {"push-model", "shift-traffic", "profile-data", "trigger-release"}
"""They act or count, and find nothing: their output is a number or a profile."""


@cache
def document(name: str) -> dict[str, Any]:
    read: dict[str, Any] = next(yaml.safe_load_all(package(name)))
    return read


def steps(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every component that runs in a pod, by its name."""
    for key, one in document(name)["components"].items():
        if "executorLabel" in one:
            yield key.removeprefix("comp-").rstrip("-0123456789"), one


def tasks(node: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield from node.get("dag", {}).get("tasks", {}).items()
        for value in node.values():
            yield from tasks(value)


def undescribed(inputs: dict[str, dict[str, Any]]) -> list[str]:
    return [name for kind in ("parameters", "artifacts") for name, one in inputs.get(kind, {}).items() if not one.get("description")]


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_described_in_the_package(name: str) -> None:
    found = [one["inputDefinitions"] for _, one in steps(name)]
    assert found
    assert [undescribed(inputs) for inputs in found] == [[]] * len(found)
    if name in PIPELINES:
        assert undescribed(document(name)["root"]["inputDefinitions"]) == []


@pytest.mark.parametrize("name", PIPELINES)
def test_the_description_explains_the_form_which_shows_names_only(name: str) -> None:
    read = document(name)
    parameters = read["root"]["inputDefinitions"]["parameters"]
    said = read["pipelineInfo"]["description"]
    lines = [line for line in said.splitlines() if line.startswith("* ")]
    assert [line.partition(":")[0].removeprefix("* ") for line in lines] == sorted(parameters), "in the order of the form"
    assert {one["parameterType"] for one in parameters.values()} <= {"STRING", "STRUCT"}, "what the form has a field for"


@pytest.mark.parametrize("name", PIPELINES)
def test_every_node_of_the_graph_has_a_name_for_people(name: str) -> None:
    read = document(name)
    named = {key: one["taskInfo"]["name"] for key, one in [*tasks(read["root"]), *tasks(read["components"])]}
    assert named
    assert {key: shown for key, shown in named.items() if shown == key or shown.startswith(("condition", "exit-handler"))} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_step_that_found_something_has_one_page_its_twin_and_its_metrics(name: str) -> None:
    """The UI shows the first page and the first Markdown of a step, and compares runs by their metrics."""
    for step, one in steps(name):
        artifacts = one.get("outputDefinitions", {}).get("artifacts", {}).values()
        kinds = sorted(artifact["artifactType"]["schemaTitle"].removeprefix("system.") for artifact in artifacts)
        shown = [kind for kind in kinds if kind != "Artifact"]
        assert shown == ([] if step in WORDLESS else ["HTML", "Markdown"] + ["Metrics"] * (step in GATES)), step
