"""The target `test-pythons`: the quick tests with each other Python that this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_python_that_is_there_runs_the_tests_and_one_that_is_not_is_skipped_by_name(tmp_path: Path) -> None:
    here = ".".join(map(str, sys.version_info[:2]))
    (tmp_path / f"python{here}").symlink_to(sys.executable)
    (tmp_path / "python3.98").symlink_to(sys.executable)  # its name is not its version
    found = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYENV_ROOT": str(tmp_path)}
    # `echo` in make's place: what would be run is printed.
    arguments = ["make", "--no-print-directory", "test-pythons", f"OTHER_PYTHONS={here} 3.98 3.99", "MAKE=echo"]
    done = subprocess.run(arguments, cwd=ROOT, env=found, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        f"test VENV=.venv-{here} PYTHON={tmp_path}/python{here}",
        "skipped: there is no python3.98 on this machine",
        "skipped: there is no python3.99 on this machine",
    ]
