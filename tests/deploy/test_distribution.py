"""What setup.py puts into the distribution: every file that the library reads, and programs that start."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
READ = """
import json
from setuptools import Distribution
from distutils.core import run_setup
told = run_setup("setup.py", stop_after="init")
print(json.dumps({"packages": told.packages, "data": told.package_data, "programs": told.entry_points["console_scripts"]}))
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
