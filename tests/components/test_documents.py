"""Every component and pipeline is documented: metadata in the upstream schema, and a worked call that compiles."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, components, dsl

from pipelines import compile as compiling
from tfcanary.submit import package

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(p.parent for p in [*ROOT.glob("components/*/component.py"), *ROOT.glob("pipelines/*/pipeline.py")])
COMPONENTS = [folder for folder in FOLDERS if folder.parent.name == "components"]
STABILITY = {"experimental", "alpha", "beta", "stable"}
NAMES = {"validate": "validate_savedmodel", "push": "push_model", "watch": "watch_stage", "drift": "evaluate_drift"}
OTHERS = {"run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "model_name": "digits", "platform": "kube://serving", "plan": {"weights": [5]}}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_the_metadata_follows_the_upstream_schema(folder: Path) -> None:
    said = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert list(said)[:4] == ["name", "stability", "dependencies", "lastVerified"]
    assert said["name"] == folder.name
    assert said["stability"] in STABILITY
    assert isinstance(said["lastVerified"], datetime)
    kubeflow = said["dependencies"]["kubeflow"]
    assert [one["name"] for one in kubeflow] == ["Pipelines"]
    assert re.fullmatch(r"(==|>=|<=)?\d+\.\d+\.\d+", kubeflow[0]["version"])


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
        watched = {"watched": self["watch"].outputs["evidence"]} if "watch" in self else {}
        return {**OTHERS, "model_uri": "gs://exports/digits/1", "digest": "sha256:0", "stage": 0, **watched}


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


def test_every_argument_is_explained_in_the_words_that_the_interface_shows() -> None:
    for name, definition in compiling.definitions().items():
        spec = definition.component_spec  # type: ignore[attr-defined]
        assert spec.description, name
        undocumented = [key for key, one in (spec.inputs or {}).items() if not one.description]
        assert not undocumented, (name, undocumented)
