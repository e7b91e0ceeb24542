"""The gate against the whole collection: every sound model passes, every broken one is refused by name."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.look.savedmodels.collection import BROKEN, make
from tfcanary.core import codec
from tfcanary.core.domain import Finding, Look
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import check
from tfcanary.look.savedmodel.known_operations import minors
from tfcanary.look.trial.job import Job

RUNNER = Path(__file__).parents[1] / "trial" / "in_one_process.py"
SOURCES = [ast.parse(path.read_text(encoding="utf-8")).body for path in sorted(Path(__file__).parent.glob("exports_*.py"))]
FUNCTIONS = [one for body in SOURCES for one in body if isinstance(one, ast.FunctionDef)]
SOUND = [one.name for one in FUNCTIONS if [ast.unparse(decorator) for decorator in one.decorator_list] == ["model"]]
"""Read from the sources: importing them would import TensorFlow."""
RUNS = {name for name, one in BROKEN.items() if one.runs}
UNASKED = {"asserts_its_input", "examples_parsed"}
"""Nobody can make up a request for these."""


def finding(look):
    return look.finding, [one.reason for one in look.evidence if one.finding is not Finding.PASS]


def test_the_collection_is_large():
    assert len(SOUND) >= 50
    assert len(BROKEN) >= 150


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_passes_without_being_run(collection, name):
    look = check(collection / name, ValidationPlan(), collection / name)
    assert look.finding in (Finding.PASS, Finding.WARN), finding(look)


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - RUNS))
def test_a_broken_model_is_refused_and_its_fault_is_named(collection, tmp_path, name):
    look = check(make(name, collection, tmp_path), ValidationPlan(), None)
    assert look.finding is Finding.FAIL, finding(look)
    assert any(BROKEN[name].word in one.reason for one in look.evidence if one.finding is Finding.FAIL), finding(look)


@pytest.mark.parametrize("minor", minors())
def test_a_simple_model_is_known_to_each_tensorflow(collection, minor):
    look = check(collection / "dense", ValidationPlan(tensorflow=minor), None)
    assert look.finding in (Finding.PASS, Finding.WARN), finding(look)


def test_an_operation_that_the_plan_declares_is_known(collection, tmp_path):
    model = make("unknown_operation", collection, tmp_path)
    assert check(model, ValidationPlan(operations=("MyCustomOp",)), None).finding is Finding.PASS


@pytest.fixture(scope="module")
def tried(collection, tmp_path_factory):
    """What the trial finds of every sound model, beside itself, and of the broken ones that only show when they run."""
    results = tmp_path_factory.mktemp("looks")
    models = {name: collection / name for name in SOUND} | {name: make(name, collection, results) for name in RUNS}
    jobs = {name: Job(str(path), ValidationPlan(), stable=str(path)) for name, path in models.items()}
    lines = "".join(json.dumps([name, codec.encode(job), []]) + "\n" for name, job in jobs.items())
    command = [sys.executable, str(RUNNER), str(results)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=500, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 0, done.stderr
    return lambda name: codec.loads(Look, (results / f"{name}.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_passes_its_trial(tried, name):
    look = tried(name)
    assert look.finding in (Finding.PASS, Finding.WARN), finding(look)
    asked = next(one for one in look.evidence if one.about == "trial/answers")
    assert (asked.finding is Finding.INCONCLUSIVE) == (name in UNASKED), asked


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RUNS))
def test_what_shows_only_when_it_runs_fails_its_trial(tried, name):
    look = tried(name)
    assert look.finding is Finding.FAIL, finding(look)
    assert any(BROKEN[name].word in one.reason for one in look.evidence if one.finding is Finding.FAIL), finding(look)
