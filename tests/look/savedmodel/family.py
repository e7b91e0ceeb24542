"""The exported models, made once a test run."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

EXPORTER = Path(__file__).with_name("models.py")


@cache
def family() -> Path:
    """A directory with one SavedModel for each name in models.py; not to be changed."""
    root = Path(tempfile.mkdtemp(prefix="tfcanary-models-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, str(EXPORTER), str(root)], env=quiet, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return root
