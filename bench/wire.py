"""Measures how fast TFRecord files are read into columns: by our decoders, all records at once, and by protobuf, one by one.

    python bench/wire.py [--records 50000] [--rounds 5]

An example has 20 features: 12 floats, 4 whole numbers and 4 texts. Both read the same file, check its checksums, and their
values are compared. Prints the best of the rounds, in records per second of wall time and of processor time; on a busy
machine compare the processor time.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tfcanary.tf.wire import messages, tfrecord
from tfcanary.tf.wire.examples import read_examples
from tfcanary.tf.wire.prediction_logs import read_prediction_logs
from tfcanary.tf.wire.tensor import to_array

CITIES = (b"Amsterdam", b"Berlin", b"Chicago", b"Delhi")


def examples(count: int) -> Iterator[bytes]:
    draw = random.Random(1)
    for _ in range(count):
        example = messages.Example()
        features = example.features.feature
        for i in range(12):
            features[f"numeric_{i:02}"].float_list.value.append(draw.gauss(0, 1))
        for i in range(4):
            features[f"count_{i:02}"].int64_list.value.append(draw.randrange(100_000))
            features[f"category_{i:02}"].bytes_list.value.append(draw.choice(CITIES))
        yield example.SerializeToString()


def logs(count: int) -> Iterator[bytes]:
    """Yield logs of requests with one row: an input of 20 numbers, and three scores."""
    draw = random.Random(2)
    for _ in range(count):
        log = messages.PredictionLog()
        for name, tensors, width in (("x", log.predict_log.request.inputs, 20), ("scores", log.predict_log.response.outputs, 3)):
            row = messages.TensorShapeProto(dim=[{"size": 1}, {"size": width}])
            values = [draw.gauss(0, 1) for _ in range(width)]
            tensors[name].CopyFrom(messages.TensorProto(dtype=1, tensor_shape=row, float_val=values))
        yield log.SerializeToString()


def examples_by_protobuf(path: Path) -> float:
    columns: dict[str, list[float | bytes]] = {}
    for record in tfrecord.read(path):
        for name, feature in messages.Example.FromString(record).features.feature.items():
            columns.setdefault(name, []).extend(getattr(feature, feature.WhichOneof("kind")).value)
    return sum(columns["numeric_07"])


def examples_at_once(path: Path) -> float:
    return sum(float(block.by_name["numeric_07"].values.astype(float).sum()) for block in read_examples(path))


def logs_by_protobuf(path: Path) -> float:
    columns: dict[str, list[float]] = {}
    for record in tfrecord.read(path):
        predict = messages.PredictionLog.FromString(record).predict_log
        for name, tensor in (*predict.request.inputs.items(), *predict.response.outputs.items()):
            columns.setdefault(name, []).extend(to_array(tensor).ravel().tolist())
    return sum(columns["x"])


def logs_at_once(path: Path) -> float:
    return sum(float(block.inputs["x"].column.values.astype(float).sum()) for block in read_prediction_logs(path))


def measure(name: str, read: Callable[[Path], float], path: Path, records: int, rounds: int) -> float:
    """Print the best speed of the rounds; return the sum that `read` computes."""
    wall, processor = [], []
    for _ in range(rounds):
        start = time.perf_counter(), time.process_time()
        total = read(path)
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    print(f"{name:42} {records / min(wall):>12,.0f} {records / min(processor):>12,.0f}")
    return total


def main() -> None:
    """Write the files, measure both decoders on each, and compare their values."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    few = max(1, options.records // 10)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n{'records a second':42} {'wall':>12} {'processor':>12}")
    with TemporaryDirectory() as folder:
        for what, write, at_once, by_protobuf in (
            ("tf.Example, 20 features", examples, examples_at_once, examples_by_protobuf),
            ("PredictionLog, one input of 20 numbers", logs, logs_at_once, logs_by_protobuf),
        ):
            path, short = Path(folder, "all"), Path(folder, "few")
            tfrecord.write(path, write(options.records))
            tfrecord.write(short, write(few))
            measure(f"{what}, at once", at_once, path, options.records, options.rounds)
            total = measure(f"{what}, protobuf", by_protobuf, short, few, 2)
            assert abs(total - at_once(short)) < 1e-3 * few, "the values differ"


if __name__ == "__main__":
    main()
