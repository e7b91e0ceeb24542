"""Somebody else's pipeline of our components: compiled, and run on the local platform by KFP's own local runner."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from kfp import compiler, components, dsl

from examples import reuse_components
from pipelines.compile import PACKAGES


@pytest.fixture
def address() -> Iterator[str]:
    """The packages, served over HTTP."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(PACKAGES))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["validate_savedmodel", "evaluate_drift"])
def test_a_component_from_an_address_is_the_one_from_the_file(address: str, name: str, tmp_path: Path) -> None:
    compiled = []
    for number, component in enumerate((components.load_component_from_url(f"{address}/{name}.yaml"), reuse_components.load(name))):
        compiler.Compiler().compile(component, str(tmp_path / f"{number}.yaml"))
        compiled.append((tmp_path / f"{number}.yaml").read_text())
    assert compiled[0] == compiled[1]
    assert f"name: {name.replace('_', '-')}" in compiled[0]


def test_their_pipeline_compiles_with_the_guard_as_its_exit_step(tmp_path: Path) -> None:
    compiler.Compiler().compile(reuse_components.try_a_candidate, str(tmp_path / "theirs.yaml"))
    document = next(yaml.safe_load_all((tmp_path / "theirs.yaml").read_text()))
    tasks = document["root"]["dag"]["tasks"]
    (guard,) = [one for one in tasks.values() if one["taskInfo"]["name"] == "guard-release"]
    assert guard["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    steps = {name.removeprefix("exec-") for name in document["deploymentSpec"]["executors"]}
    assert steps == {"validate-savedmodel", "push-model", "deploy-canary", "watch-stage", "evaluate-drift", "guard-release", "summarise"}


def test_nobody_who_reuses_a_component_needs_this_project_s_python() -> None:
    """Only its files: the example imports the SDK and the place where they lie."""
    text = Path(reuse_components.__file__).read_text()
    imported = {line for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"from importlib.resources import files", "from kfp import components, dsl"}
    assert isinstance(reuse_components.try_a_candidate, dsl.graph_component.GraphComponent)
