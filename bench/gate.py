"""The gate side by side with TensorFlow's own loading, and a push with a plain copy: `python -m bench.gate FOLDER [--mib 100]`.

Writes a model of that many MiB of weights where there is none yet. Each contestant is a process of its own, and they take turns:
ratios are those of one run. `as a process` includes the imports, TensorFlow's own too; `at work` does not. `tensorflow` loads the model
and runs the requests that the trial makes up; `checks` is the gate without trial, `trial` the whole, `beside` with a stable
model. Memory is that of the process alone: the trial's own child is not in it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CONTESTANTS = ("export", "tensorflow", "checks", "trial", "beside", "copy", "push", "pull")
MIB = 2**20


def main() -> None:
    """Parse the options, and run the contestants in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mib", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    model = options.folder / f"model-{options.mib}"
    if options.run:
        print(f"{globals()[f'run_{options.run}'](model):.4f} {peak()}")
        return
    if not model.exists():
        contestant("export", options)
    size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    print(f"{size / MIB:.0f} MiB in {sum(path.is_file() for path in model.rglob('*'))} files; load {os.getloadavg()[0]:.1f}")
    taken: dict[str, list[tuple[float, float, int]]] = {name: [] for name in CONTESTANTS[1:]}
    for _ in range(options.repeats):
        for name, runs in taken.items():
            runs.append(contestant(name, options))
    walls = {name: statistics.median(wall for wall, _, _ in runs) for name, runs in taken.items()}
    inner = {name: statistics.median(took for _, took, _ in runs) for name, runs in taken.items()}
    for name, runs in taken.items():
        said = f"{name:10} {walls[name]:6.2f} s as a process, {inner[name]:6.2f} s at work, {max(mib for _, _, mib in runs):5,} MiB"
        print(said, compared(name, walls, inner), flush=True)


def compared(name: str, walls: dict[str, float], inner: dict[str, float]) -> str:
    """The ratio of two times, for the table."""
    if name in ("trial", "beside"):
        return f" {walls[name] / walls['tensorflow']:5.2f} times tensorflow as a process"
    return f" {inner[name] / inner['copy']:5.2f} times copy" if name in ("push", "pull") else ""


def contestant(name: str, options: argparse.Namespace) -> tuple[float, float, int]:
    """Seconds of the process, seconds of the work, and its peak in MiB."""
    command = [sys.executable, "-m", "bench.gate", str(options.folder), "--mib", str(options.mib), "--run", name]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    wall = time.perf_counter() - began
    took, mib = done.stdout.split()[-2:]
    return wall, float(took), int(mib)


def peak() -> int:
    """MiB of this process at its peak; its children are not in it."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run_export(model: Path) -> float:
    """Four layers that share the weights, so that a request costs what a real one does."""
    import numpy as np
    import tensorflow as tf

    mib = int(model.name.split("-")[1])
    width = int((mib * MIB / 4 / 4) ** 0.5)
    module = tf.Module()
    random = np.random.default_rng(1)
    module.layers = [tf.Variable((random.normal(size=(width, width)) / width**0.5).astype("float32")) for _ in range(4)]

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        for layer in module.layers:
            x = tf.nn.relu(x @ layer)
        return {"y": x[:, :10]}

    function = tf.function(serve, input_signature=[tf.TensorSpec([None, width], tf.float32, name="x")])
    return timed(lambda: tf.saved_model.save(module, str(model), signatures={"serving_default": function}))


def run_tensorflow(model: Path) -> float:
    """The same requests that the trial makes up, each once."""
    from tfcanary.core.plan import ValidationPlan
    from tfcanary.look.savedmodel import read
    from tfcanary.look.savedmodel.samples import recipes, tensor_requests
    from tfcanary.tf.runtime import import_tensorflow, load

    import_tensorflow()

    def work() -> None:
        servable = load(model)
        for sample in tensor_requests(next(recipes(read(model).public["serving_default"])), ValidationPlan().batches):
            servable.run("serving_default", sample.feeds)

    return timed(work)


def run_checks(model: Path) -> float:
    from tfcanary.core.plan import ValidationPlan
    from tfcanary.look.savedmodel import check, manifest

    return timed(lambda: (manifest(model), check(model, ValidationPlan(), model)))


def run_trial(model: Path) -> float:
    from tfcanary.core.plan import ValidationPlan
    from tfcanary.look import trial

    return timed(lambda: trial.validate(model, ValidationPlan(), None))


def run_beside(model: Path) -> float:
    from tfcanary.core.plan import ValidationPlan
    from tfcanary.look import trial

    return timed(lambda: trial.validate(model, ValidationPlan(), model))


def run_copy(model: Path) -> float:
    """A copy like `cp -r`, then flushed to disk, so that it is as durable as the other contestants' results."""
    into = model.with_name("copied")
    shutil.rmtree(into, ignore_errors=True)
    try:
        return timed(lambda: (shutil.copytree(model, into), durable(into)))
    finally:
        shutil.rmtree(into)


def durable(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def run_push(model: Path) -> float:
    """A push as `act/push.py` does it: copy, read back, hash. The claim is left out: it is a few bytes."""
    from tfcanary.act.push import _upload
    from tfcanary.adapters.storage import open_storage
    from tfcanary.look.savedmodel import manifest

    root = model.with_name("bucket")
    shutil.rmtree(root, ignore_errors=True)
    files = manifest(model).files
    try:
        return timed(lambda: _upload(open_storage(str(root)), model, "m/1/", files, lambda _: None))
    finally:
        shutil.rmtree(root)


def run_pull(model: Path) -> float:
    """A download from a bucket into which a version was pushed, as a step does it."""
    from tfcanary.act.push import _upload
    from tfcanary.adapters.storage import open_storage
    from tfcanary.adapters.storage.download import pull
    from tfcanary.look.savedmodel import manifest

    root, into = model.with_name("bucket"), model.with_name("pulled")
    for folder in (root, into):
        shutil.rmtree(folder, ignore_errors=True)
    _upload(open_storage(str(root)), model, "m/1/", manifest(model).files, lambda _: None)
    try:
        return timed(lambda: (pull(open_storage(str(root)), "m/1", into), durable(into)))
    finally:
        shutil.rmtree(root)
        shutil.rmtree(into)


if __name__ == "__main__":
    main()
