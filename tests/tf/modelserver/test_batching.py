"""Dynamic batching: the queue as a table, batches as arrays, and a real server whose requests share batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from tests.tf.modelserver.conftest import Start
from tfcanary.tf.modelserver.batching import BatchedServable, BatchQueue, BatchScheduler, Task, merged, run_batch
from tfcanary.tf.modelserver.batching_parameters import BatchingParameters, own_parameters, read_parameters
from tfcanary.tf.modelserver.page import MetricsPage
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.status import RequestError
from tfcanary.tf.runtime import TensorFlowError


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def double(feeds):
    return {"y": feeds["x"] * 2}


def task(*values: float, since: float = 0.0) -> Task:
    return Task({"x": array(*values)}, len(values), since, since + 60.0)


def refusal(call: Callable, *arguments) -> tuple[str, str]:
    try:
        call(*arguments)
    except (TensorFlowError, RequestError) as error:
        return error.code, str(error)
    return "OK", ""


def filled(parameters: BatchingParameters, *sizes: int) -> BatchQueue:
    """A queue with tasks of these sizes, which came at 0 s, 1 s, 2 s and so on."""
    queue = BatchQueue(parameters, double)
    for second, size in enumerate(sizes):
        for piece in queue.pieces(size):
            queue.put(task(*range(piece), since=float(second)))
    return queue


LIMITS = BatchingParameters(max_batch_size=4, max_execution_batch_size=4, batch_timeout_micros=5_000_000, max_enqueued_batches=2)


@pytest.mark.parametrize(
    ("sizes", "due", "batches"),
    [
        ([], math.inf, []),
        ([1], 5.0, [[1]]),  # there is room in it: it waits for others
        ([4], 0.0, [[4]]),
        ([1, 1, 2], 0.0, [[1, 1, 2]]),
        ([1, 4], 0.0, [[1], [4]]),  # the second does not fit, so the first waits for nobody
        ([3, 1, 2], 0.0, [[3, 1], [2]]),
    ],
)
def test_a_batch_runs_when_it_is_full_or_its_time_is_over(sizes: list[int], due: float, batches: list[list[int]]) -> None:
    queue = filled(LIMITS, *sizes)
    assert queue.due() == due
    assert [[one.size for one in queue.take()] for _ in batches] == batches
    assert queue.is_empty()


def test_a_request_that_needs_one_batch_more_than_may_wait_is_turned_away() -> None:
    queue = filled(LIMITS, 3, 4)
    code, message = refusal(queue.pieces, 1)
    assert code == "UNAVAILABLE"
    assert message.startswith("The batch scheduling queue to which this task was submitted is full")
    queue.take()
    assert queue.pieces(1) == [1]


def test_a_request_that_is_larger_than_a_batch_is_refused() -> None:
    assert refusal(filled(LIMITS).pieces, 5) == ("INVALID_ARGUMENT", "Task size 5 is larger than maximum input batch size 4")


def test_a_large_request_is_split_where_the_parameters_say_so() -> None:
    limits = replace(LIMITS, max_batch_size=100, max_enqueued_batches=3, enable_large_batch_splitting=True)
    queue = filled(limits, 3)
    assert queue.pieces(8) == [1, 4, 3]
    assert refusal(queue.pieces, 10)[0] == "UNAVAILABLE"


def test_examples_are_put_together_filled_up_and_given_back() -> None:
    seen = []

    def run(feeds):
        seen.append(feeds["x"].tolist())
        return double(feeds)

    tasks = [task(1, 2), task(3)]
    page = MetricsPage()
    run_batch(BatchingParameters(allowed_batch_sizes=(2, 4, 8)), run, tasks, now=1.0, page=page)
    assert seen == [[1, 2, 3, 3]]
    assert [one.outputs.result()["y"].tolist() for one in tasks] == [[2, 4], [6]]
    counted = {line for line in page.text().splitlines() if "batching_session" in line}
    start = ":tensorflow:serving:batching_session"
    assert {
        f"{start}:wrapped_run_count{{}} 1",
        f"{start}:processed_batch_size_sum{{}} 4",
        f'{start}:padding_size_sum{{execution_batch_size="4"}} 1',
        f'{start}:queuing_latency_sum{{thread_pool_name=""}} 2e+06',
    } <= counted


def test_different_shapes_are_padded_or_refused() -> None:
    feeds = [{"x": np.ones((1, 2))}, {"x": np.ones((2, 3))}]
    assert merged(feeds, BatchingParameters(pad_variable_length_inputs=True))["x"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    code, message = refusal(merged, feeds, BatchingParameters())
    assert code == "FAILED_PRECONDITION"
    assert message.startswith("Tensors with name 'x' from different tasks have different shapes and padding is turned off.")
    words = [{"x": np.array([[b"a"]], object)}, {"x": np.array([[b"b", b"c"]], object)}]
    assert merged(words, BatchingParameters(pad_variable_length_inputs=True))["x"].tolist() == [[b"a", b""], [b"b", b"c"]]


def failure(run: Callable, *, now: float = 1.0) -> tuple[str, str]:
    one = task(1, 2)
    run_batch(BatchingParameters(), run, [one, task(3)], now, MetricsPage())
    return refusal(one.outputs.result)


def fails(feeds):
    raise TensorFlowError("INVALID_ARGUMENT", "negative")


def test_a_batch_that_cannot_be_divided_fails_all_its_requests() -> None:
    assert failure(fails) == ("INVALID_ARGUMENT", "negative")
    assert failure(lambda _: {"y": np.float32(1)}) == ("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
    code, message = failure(lambda _: {"y": array(1)})
    assert code == "FAILED_PRECONDITION"
    assert message.startswith("Batched output tensor's 0th dimension does not equal the sum")
    assert failure(double, now=61.0) == ("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue")


def test_requests_that_come_while_the_threads_are_busy_share_a_batch() -> None:
    scheduler, go, sizes = BatchScheduler(threads=1, page=MetricsPage()), Event(), []

    def run(feeds):
        sizes.append(len(feeds["x"]))
        go.wait(20)
        return double(feeds)

    def ask(*values: float) -> Future:
        (part,) = scheduler.schedule("key", BatchingParameters(), run, {"x": array(*values)}, len(values), 60.0)
        return part

    first = ask(1)
    while not sizes:
        pass
    others = [ask(2), ask(3, 4)]
    go.set()
    assert [one.result(20)["y"].tolist() for one in (first, *others)] == [[2], [4], [6, 8]]
    assert sizes == [1, 3]


class Model:
    """Stands for a loaded model: doubles x."""

    definitions = signatures = None

    def complete(self, signature, feeds, outputs=None):
        return feeds

    def run(self, signature, feeds, outputs=None):
        return double(feeds)


def test_a_request_that_cannot_be_a_part_of_a_batch_is_refused_alone() -> None:
    model = BatchedServable(Model(), BatchingParameters(), BatchScheduler(1, MetricsPage()), 60.0)
    start = "Batching session Run() "
    assert refusal(model.run, "s", {}) == ("INVALID_ARGUMENT", f"{start}must have at least one input tensor")
    assert refusal(model.run, "s", {"x": np.float32(1)}) == ("INVALID_ARGUMENT", f"{start}input tensors must have at least one dimension")
    unequal = {"x": array(1), "z": array(1, 2)}
    assert refusal(model.run, "s", unequal) == ("INVALID_ARGUMENT", f"{start}input tensors must have equal 0th-dimension size")


def test_a_request_that_was_split_gets_one_answer() -> None:
    limits = BatchingParameters(max_batch_size=9, max_execution_batch_size=2, enable_large_batch_splitting=True)
    model = BatchedServable(Model(), limits, BatchScheduler(1, MetricsPage()), 60.0)
    assert model.run("s", {"x": array(1, 2, 3, 4, 5)})["y"].tolist() == [2, 4, 6, 8, 10]


def test_parameters_are_read_from_text_with_the_originals_defaults(tmp_path: Path) -> None:
    file = tmp_path / "batching_params.pbtxt"
    file.write_text(
        "max_batch_size { value: 32 } batch_timeout_micros { value: 100 } num_batch_threads { value: 3 } allowed_batch_sizes: 32"
    )
    options = Options(enable_batching=True, batching_parameters_file=str(file))
    expected = BatchingParameters(
        max_batch_size=32, batch_timeout_micros=100, num_batch_threads=3, allowed_batch_sizes=(32,), max_execution_batch_size=32
    )
    assert read_parameters(options) == own_parameters(tmp_path) == expected
    default = read_parameters(Options(enable_batching=True))
    assert default is not None
    assert (default.max_batch_size, default.batch_timeout_micros, default.max_enqueued_batches) == (1000, 0, 10)
    assert read_parameters(Options()) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("max_batch_size: 3", "Invalid protobuf file: "),
    ],
)
def test_parameters_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "batching.config"
    file.write_text(text)
    code, found = refusal(read_parameters, Options(enable_batching=True, batching_parameters_file=str(file)))
    assert code == "INVALID_ARGUMENT"
    assert message in found


def test_the_largest_allowed_size_is_the_largest_batch() -> None:
    code, message = refusal(BatchedServable, Model(), BatchingParameters(max_batch_size=8, allowed_batch_sizes=(2, 4)), None, 60.0)
    assert code == "INVALID_ARGUMENT"
    assert message == "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8"


def test_a_server_runs_the_requests_of_several_clients_as_one_batch(start: Start, models: Path, tmp_path: Path) -> None:
    """A batch begins only when four examples are there; the model says how many it saw."""
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 20000000 } max_enqueued_batches { value: 1 }")
    flags = ("--enable_batching", f"--batching_parameters_file={file}")
    server = start(*flags, models={"half": models / "half", "strict": models / "strict"}).await_ports()
    runs = ':tensorflow:serving:runtime_latency_count{model_name="half"'
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda x: server.predict("half", {"instances": [float(x)]}).json, range(4)))
    assert replies == [{"predictions": [x / 2 + 3]} for x in range(4)]
    assert server.metric(runs) == 4
    assert server.metric(":tensorflow:serving:batching_session:processed_batch_size_sum") == 4
    assert server.metric(":tensorflow:serving:batching_session:wrapped_run_count") == 1
    with ThreadPoolExecutor(2) as threads:  # one batch may wait, and three examples and two are more than one batch
        asked = {threads.submit(server.predict, "half", {"instances": [0.0] * size}): size for size in (3, 2)}
        (full,), (waiting,) = wait(asked, return_when=FIRST_COMPLETED)
        assert server.predict("half", {"instances": [0.0] * (4 - asked[waiting])}).status == 200
    assert waiting.result().status == 200
    assert full.result().status == 503
    assert full.result().error.startswith("The batch scheduling queue to which this task was submitted is full")
    assert server.predict("half", {"instances": [0.0] * 5}).error == "Task size 5 is larger than maximum input batch size 4"
