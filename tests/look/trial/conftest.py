import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.look.savedmodel.family import family
from tfcanary.core import codec
from tfcanary.core.domain import Look, Request
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.trial.job import Job
from tfcanary.tf.wire import messages, tfrecord

SOUND = ["good", "stable", "square", "two_outputs", "two_inputs", "flat", "frozen", "words", "jpeg", "embedding"]
TRIED = [*SOUND, "nan", "raising", "huge", "crowded", "even", "random", "picky", "summed", "listed", "flags"]
ROW = [0.25] * 64
RECORDED = {
    "good": [Request({"instances": [ROW, [*ROW[:63], 1.0]]}, id="first"), Request({"inputs": {"image": [ROW]}})],
    "two_outputs": [Request({"instances": [ROW]}), Request({"instances": [[1.0, 2.0]]}, id="seventh")],
    "two_inputs": [Request({"instances": [{"image": ROW}]}, id="half")],
    "words": [Request({"instances": ["yes", {"b64": "bm8="}]})],
    "golden words": [
        Request({"instances": ["yes"]}, label=0),
        Request({"instances": ["no"]}, label=1),
        Request({"instances": ["maybe"]}, label=-1),
    ],
    "wrong words": [Request({"instances": ["yes"]}, label=0), Request({"instances": ["no"]}, id="second", label=7)],
    "named": [Request({"instances": [ROW]}, label=0), Request({"instances": [[-1.0] * 64]}, label=1)],
    "other": [Request({"instances": [ROW], "signature_name": "other"})],
}


def warmed(model: Path, into: Path) -> Path:
    """A copy with warm-up requests: for `good` one that fits and one of another width."""
    shutil.copytree(model, into)
    (into / "assets.extra").mkdir()
    records = []
    for width in (64, 63) if model.name == "good" else (0,):
        log = messages.PredictionLog()
        given = log.predict_log.request.inputs["image" if width else "tensor"]
        given.dtype = messages.DataType.Value("DT_FLOAT" if width else "DT_STRING")
        given.tensor_shape.dim.extend(messages.TensorShapeProto.Dim(size=size) for size in ((1, width) if width else (1,)))
        given.float_val.extend([0.5] * width)
        if not width:
            inner = messages.TensorProto(dtype=messages.DataType.Value("DT_FLOAT"), float_val=[1.0])
            given.string_val.append(inner.SerializeToString())
        records.append(log.SerializeToString())
    tfrecord.write(into / "assets.extra/tf_serving_warmup_requests", records)
    return into


def with_operation(model: Path, into: Path, op: str) -> Path:
    """A copy whose graph has one more operation, which nothing runs."""
    shutil.copytree(model, into)
    content = messages.SavedModel.FromString((into / "saved_model.pb").read_bytes())
    content.meta_graphs[0].graph_def.node.add(name="foreign", op=op)
    (into / "saved_model.pb").write_bytes(content.SerializeToString())
    return into


@pytest.fixture(scope="session")
def models() -> Path:
    """The exported models: read only."""
    return family()


@pytest.fixture(scope="session")
def tried(models, tmp_path_factory):
    """What the trial found of each model (`recorded <name>`: with recorded requests), all tried in one process."""
    results = tmp_path_factory.mktemp("looks")
    golden: dict[str, list[Request]] = {}
    jobs = {name: Job(str(models / name), ValidationPlan()) for name in TRIED}
    for name, requests in RECORDED.items():
        model = models / ("good" if name == "other" else name.rpartition(" ")[2])
        jobs[f"recorded {name}"] = Job(str(model), ValidationPlan())
        golden[f"recorded {name}"] = requests
    for name, other, changes in (
        ("wrong words beside words", "words", {}),
        ("wrong words for the plan", "", {"accuracy": 0.9}),
        ("wrong words beside another", "good", {}),
    ):
        jobs[name] = Job(str(models / "words"), ValidationPlan(**changes), str(models / other) if other else "")
        golden[name] = RECORDED["wrong words"]
    jobs |= {"beside stable": Job(str(models / "good"), ValidationPlan(), stable=str(models / "stable"))}
    jobs |= {"beside another": Job(str(models / "good"), ValidationPlan(), stable=str(models / "words"))}
    jobs |= {f"warmed {name}": Job(str(warmed(models / name, results / name)), ValidationPlan()) for name in ("good", "picky")}
    jobs |= {f"{name} beside {name}": Job(str(models / name), ValidationPlan(), stable=str(models / name)) for name in ("even", "raising")}
    for name, other in (("even", "good"), ("summed", "stable"), ("summed", "summed")):
        jobs[f"{name} beside {other}"] = Job(str(models / name), ValidationPlan(), stable=str(models / other))
    for op, declared in (("SimpleMLCreateModelResource", ()), ("MyCustomOp", ("MyCustomOp",)), ("NobodysOp", ())):
        copy = with_operation(models / "good", results / op, op)
        jobs[f"with {op}"] = Job(str(copy), ValidationPlan(operations=declared))
    lines = "".join(json.dumps([name, codec.encode(job), codec.encode(golden.get(name, []))]) + "\n" for name, job in jobs.items())
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
