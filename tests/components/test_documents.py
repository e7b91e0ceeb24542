"""Every component and pipeline is documented: metadata in the upstream schema, and a worked call that compiles."""

from __future__ import annotations

import ast
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, components, dsl

from components._image import IMAGE
from pipelines import compile as compiling
from tfcanary.run.submit import package

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(p.parent for p in [*ROOT.glob("components/*/component.py"), *ROOT.glob("pipelines/*/pipeline.py")])
COMPONENTS = [folder for folder in FOLDERS if folder.parent.name == "components"]
STABILITY = {"experimental", "alpha", "beta", "stable"}
NAMES = {"validate": "validate_savedmodel", "push": "push_model", "watch": "watch_stage", "drift": "evaluate_drift"}
OTHERS = {"run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "model_name": "digits", "platform": "kube://serving", "plan": {"weights": [5]}}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_the_metadata_follows_the_upstream_schema(folder: Path) -> None:
    """What kubeflow/pipelines-components refuses. That it be verified within a year is asked there, by its calendar."""
    said = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert list(said)[:4] == ["name", "stability", "dependencies", "lastVerified"]
    assert set(said) <= {"name", "stability", "dependencies", "lastVerified", "tags", "ci", "links"}
    assert said["name"] == folder.name
    assert said["stability"] in STABILITY
    assert isinstance(said["lastVerified"], datetime)
    assert said["lastVerified"].tzinfo is not None
    assert set(said["dependencies"]) <= {"kubeflow", "external_services"}
    for one in (dependency for listed in said["dependencies"].values() for dependency in listed):
        assert re.fullmatch(r"(==|>=|<=)?\d+\.\d+\.\d+", one["version"]), one["name"]
    assert [one["name"] for one in said["dependencies"]["kubeflow"]] == ["Pipelines"]
    assert all(isinstance(tag, str) for tag in said["tags"])
    assert "ci" not in said


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_a_folder_has_one_definition_of_its_own_name(folder: Path) -> None:
    """The upstream tools take the first that they find."""
    (file,) = (*folder.glob("component.py"), *folder.glob("pipeline.py"))
    defined = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    assert [function.name for function in defined] == [folder.name]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", folder.name)


@pytest.mark.parametrize("file", sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("pipelines/**/*.py")]), ids=lambda f: f.parent.name)
def test_a_definition_imports_the_sdk_and_our_own_code_at_its_top_and_nothing_else(file: Path) -> None:
    found = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in found if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert foreign <= {"kfp", "components", "pipelines", "tfcanary"}
    if file.name == "component.py":
        assert foreign == {"kfp", "components"}, "the library is imported in the body, which runs in the image"


@pytest.mark.parametrize("name", sorted(compiling.definitions()))
def test_the_image_is_named_once(name: str) -> None:
    documents = yaml.safe_load_all(package(name))
    assert {one["container"]["image"] for one in next(documents)["deploymentSpec"]["executors"].values()} == {IMAGE}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_the_readme_names_what_it_is_about_and_links_what_exists(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert text.startswith(f"# {folder.name}\n")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (folder / link).exists(), link


class Known(dict[str, Any]):
    """The names of a worked call: a task of an earlier step is made when it is asked for."""

    def __missing__(self, name: str) -> Any:
        if name not in NAMES:
            raise KeyError(name)
        made = components.load_component_from_text(package(NAMES[name]))
        given = {key: value for key, value in self._arguments().items() if key in made.component_spec.inputs}
        self[name] = made(**given)
        return self[name]

    def _arguments(self) -> dict[str, Any]:
        verdict = {"watch_verdict": self["watch"].outputs["evidence"]} if "watch" in self else {}
        return {**OTHERS, "model_uri": "gs://exports/digits/1", "digest": "sha256:0", "stage": 0, **verdict}


@pytest.mark.parametrize("folder", COMPONENTS, ids=lambda f: f.name)
def test_the_worked_call_compiles(folder: Path, tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S))
    assert folder.name in code
    body = re.sub(r"^with .*\n    \.\.\.\n", "", code, flags=re.M)

    @dsl.pipeline(name="worked-call")
    def pipeline():
        exec(body, {}, Known({"plan": {"weights": [5]}}))

    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    assert folder.name.replace("_", "-") in (tmp_path / "pipeline.yaml").read_text()


@pytest.mark.parametrize("folder", COMPONENTS, ids=lambda f: f.name)
def test_no_call_in_somebody_elses_pipeline_is_answered_from_the_cache(folder: Path, tmp_path: Path) -> None:
    """Kubeflow's key is made of image, command and arguments. Of these only the run's id differs in each run, so every call has one."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S))

    @dsl.pipeline(name="weekly")
    def weekly():
        exec(re.sub(r"^with .*\n    \.\.\.\n", "", code, flags=re.M), {}, Known({"plan": {"weights": [5]}}))

    compiler.Compiler().compile(weekly, str(tmp_path / "weekly.yaml"))
    tasks = next(yaml.safe_load_all((tmp_path / "weekly.yaml").read_text()))["root"]["dag"]["tasks"]
    (called,) = [task for name, task in tasks.items() if name == folder.name.replace("_", "-")]
    assert called["inputs"]["parameters"]["run_id"] == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}
    inputs = next(yaml.safe_load_all(package(folder.name)))["root"]["inputDefinitions"]["parameters"]
    assert "isOptional" not in inputs["run_id"], "a call without it does not compile"
