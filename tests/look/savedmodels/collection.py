"""The collection: sound models exported once a run, and broken ones made of them in no time."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.look.savedmodels import broken_files, broken_graphs, broken_promises, broken_weights
from tests.look.savedmodels.edits import BROKEN, Broken

__all__ = ["BROKEN", "Broken", "broken_files", "broken_graphs", "broken_promises", "broken_weights", "make", "sound"]

ROOT = Path(__file__).parents[3]


@cache
def sound() -> Path:
    """A directory with one SavedModel for each function in exports.py; not to be changed."""
    root = Path(tempfile.mkdtemp(prefix="tfcanary-collection-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-m", "tests.look.savedmodels.exports", str(root)]
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return root


def make(name: str, root: Path, into: Path) -> Path:
    """The broken model of this name, in a directory of its own."""
    entry = BROKEN[name]
    model = Path(shutil.copytree(root / entry.base, into / name / "model"))
    for other in ("several_shards", "half_precision"):
        (into / name / other).symlink_to(root / other)
    entry.change(model)
    return model
