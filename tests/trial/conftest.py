import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.savedmodel.family import family
from tfcanary import codec
from tfcanary.domain import Look, Request
from tfcanary.plan import ValidationPlan
from tfcanary.trial.job import Job

SOUND = ["good", "stable", "square", "two_outputs", "two_inputs", "flat", "frozen", "words", "jpeg", "embedding"]
TRIED = [*SOUND, "nan", "raising", "huge", "crowded", "even", "random", "picky"]
ROW = [0.25] * 64
RECORDED = {
    "good": [Request({"instances": [ROW, [*ROW[:63], 1.0]]}, id="first"), Request({"inputs": {"image": [ROW]}})],
    "two_outputs": [Request({"instances": [ROW]}), Request({"instances": [[1.0, 2.0]]}, id="seventh")],
    "two_inputs": [Request({"instances": [{"image": ROW}]}, id="half")],
    "words": [Request({"instances": ["yes", {"b64": "bm8="}]})],
    "other": [Request({"instances": [ROW], "signature_name": "other"})],
}


@pytest.fixture(scope="session")
def models() -> Path:
    """The exported models: read only."""
    return family()


@pytest.fixture(scope="session")
def tried(models, tmp_path_factory):
    """What the trial found of each model (`recorded <name>`: with recorded requests), all tried in one process."""
    results = tmp_path_factory.mktemp("looks")
    jobs = {name: Job(str(models / name), ValidationPlan()) for name in TRIED}
    for name, requests in RECORDED.items():
        model = models / ("good" if name == "other" else name)
        jobs[f"recorded {name}"] = Job(str(model), ValidationPlan(), tuple(requests))
    lines = "".join(json.dumps([name, codec.encode(job)]) + "\n" for name, job in jobs.items())
    script = Path(__file__).with_name("in_one_process.py")
    done = subprocess.run(
        [sys.executable, str(script), str(results)],
        input=lines,
        capture_output=True,
        text=True,
        timeout=240,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr

    def look(name: str) -> Look:
        return codec.loads(Look, (results / f"{name}.json").read_text())

    return look
