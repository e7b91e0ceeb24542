"""Dynamic batching: requests that arrive at the same time run as one batch, as TensorFlow Serving's BatchingSession does it.

A request waits in the queue of its signature until its batch is full or `batch_timeout_micros` are over, and one of the
threads of the pool is free. The pool is shared by all models.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import TYPE_CHECKING

from tfcanary.tf.modelserver.batching_parameters import BatchingParameters
from tfcanary.tf.modelserver.page import MetricsPage
from tfcanary.tf.runtime import Servable, TensorFlowError

if TYPE_CHECKING:
    import numpy as np

Tensors = Mapping[str, "np.ndarray"]
Run = Callable[[Tensors], Tensors]
"""A function that runs one batch: inputs in, outputs out. Raises TensorFlowError."""


@dataclass(frozen=True, slots=True)
class Task:
    """A request, or a part of one, that waits for its batch."""

    feeds: Tensors
    size: int
    """The number of its examples."""
    since: float
    """When it came, in seconds of the clock."""
    until: float
    """When it is too late to run it; a batch in which all tasks are too late is not run."""
    outputs: Future[Tensors] = field(default_factory=Future)


class BatchQueue:
    """The batches of one signature that wait; only the last one takes tasks in. It knows no thread and no clock."""

    def __init__(self, parameters: BatchingParameters, run: Run) -> None:
        self.run = run
        self.parameters = parameters
        self._batches: deque[list[Task]] = deque([[]])

    def pieces(self, size: int) -> list[int]:
        """Return the sizes of the parts into which a request is split; raises TensorFlowError where it cannot be taken."""
        limits = self.parameters
        if size > limits.max_batch_size:
            raise TensorFlowError("INVALID_ARGUMENT", f"Task size {size} is larger than maximum input batch size {limits.max_batch_size}")
        room = limits.max_execution_batch_size - self._open_size()
        free = (limits.max_enqueued_batches - len(self._batches)) * limits.max_execution_batch_size
        if size <= room or (free and not limits.enable_large_batch_splitting):
            return [size]
        if size > room + free:
            full = "The batch scheduling queue to which this task was submitted is full"
            raise TensorFlowError("UNAVAILABLE", f"{full}; task size is {size} but scheduling capacity is only {room + free}")
        parts = [room] if room else []
        while size > sum(parts):
            parts.append(min(size - sum(parts), limits.max_execution_batch_size))
        return parts

    def put(self, task: Task) -> None:
        """Add a task whose size `pieces` has returned."""
        if self._open_size() + task.size > self.parameters.max_execution_batch_size:
            self._batches.append([])
        self._batches[-1].append(task)

    def is_empty(self) -> bool:
        """Tell whether no task waits."""
        return not self._batches[0]

    def due(self) -> float:
        """Return the time from which on the first batch may run; infinity where there is no task."""
        first = self._batches[0]
        if not first:
            return math.inf
        if len(self._batches) > 1 or self._open_size() >= self.parameters.max_execution_batch_size:
            return first[0].since
        return first[0].since + self.parameters.batch_timeout_micros / 1e6

    def take(self) -> list[Task]:
        """Remove the first batch and return it."""
        batch = self._batches.popleft()
        if not self._batches:
            self._batches.append([])
        return batch

    def _open_size(self) -> int:
        return sum(task.size for task in self._batches[-1])


class BatchScheduler:
    """The threads that run the batches of all queues, the one that has waited longest first."""

    def __init__(self, threads: int, page: MetricsPage, clock: Callable[[], float] = time.monotonic) -> None:
        self._page = page
        self._clock = clock
        self._queues: dict[object, BatchQueue] = {}
        self._changed = Condition()
        for number in range(threads):
            Thread(target=self._work, name=f"batches{number}", daemon=True).start()

    def schedule(
        self, key: object, parameters: BatchingParameters, run: Run, feeds: Tensors, size: int, seconds: float
    ) -> list[Future[Tensors]]:
        """Queue a request of `size` examples and return its outputs to come, in as many parts as it is split into.

        Tasks of one key share batches, and may wait for `seconds`. Raises TensorFlowError where the request is too large or
        the queue is full.
        """
        self._page.batched_requests.observe(size)
        with self._changed:
            queue = self._queues.get(key) or BatchQueue(parameters, run)
            parts = queue.pieces(size)
            self._queues[key] = queue
            tasks, start = [], 0
            for part in parts:
                piece = feeds if part == size else {alias: array[start : start + part] for alias, array in feeds.items()}
                tasks.append(Task(piece, part, self._clock(), self._clock() + seconds))
                queue.put(tasks[-1])
                start += part
            self._changed.notify_all()
        return [task.outputs for task in tasks]

    def _work(self) -> None:
        while True:
            queue, tasks = self._next()
            run_batch(queue.parameters, queue.run, tasks, self._clock(), self._page)

    def _next(self) -> tuple[BatchQueue, list[Task]]:
        """Wait for a batch that may run, and remove it from its queue."""
        with self._changed:
            while True:
                queues = self._queues
                key = min(queues, key=lambda key: queues[key].due(), default=None)
                delay = queues[key].due() - self._clock() if key is not None else math.inf
                if key is not None and delay <= 0:
                    queue = queues[key]
                    tasks = queue.take()
                    if queue.is_empty():
                        del queues[key]  # clients choose outputs and types, and so could make queues without end
                    return queue, tasks
                self._changed.wait(None if math.isinf(delay) else delay)


def run_batch(parameters: BatchingParameters, run: Run, tasks: Sequence[Task], now: float, page: MetricsPage) -> None:
    """Run the tasks as one batch, and give each its outputs, or all of them the error; count it on the page."""
    size = sum(task.size for task in tasks)
    filled = parameters.filled_size(size)
    for task in tasks:
        page.queuing.observe((now - task.since) * 1e6, "")
    try:
        if all(task.until < now for task in tasks):
            raise TensorFlowError("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue")
        page.batch_padding.observe(filled - size, str(filled))
        page.batches.observe(filled)
        feeds = merged([task.feeds for task in tasks], parameters)
        page.batch_runs.add()
        outputs = run(feeds)
        _check(outputs, filled)
    except TensorFlowError as error:
        _fail(tasks, error)
        return
    except (ValueError, TypeError, MemoryError) as error:
        _fail(tasks, TensorFlowError("INTERNAL", f"Tensor concat operation failed: {error}"))
        return
    start = 0
    for task in tasks:
        task.outputs.set_result({name: array[start : start + task.size] for name, array in outputs.items()})
        start += task.size


def _fail(tasks: Sequence[Task], error: TensorFlowError) -> None:
    for task in tasks:
        task.outputs.set_exception(error)


def merged(feeds: Sequence[Tensors], parameters: BatchingParameters) -> Tensors:
    """Return the inputs of all tasks one after the other, filled up to an allowed batch size.

    Raises TensorFlowError where the shapes of their examples differ and are not to be padded.
    """
    import numpy as np

    result = {}
    for alias in feeds[0]:
        arrays = [one[alias] for one in feeds]
        if any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
            arrays = _padded(alias, arrays, parameters)
        size = sum(len(array) for array in arrays)
        arrays += [arrays[-1][:1]] * (parameters.filled_size(size) - size)
        result[alias] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return result


def _padded(alias: str, arrays: Sequence[np.ndarray], parameters: BatchingParameters) -> list[np.ndarray]:
    import numpy as np

    if not parameters.pad_variable_length_inputs or len({array.ndim for array in arrays}) > 1:
        raise TensorFlowError(
            "FAILED_PRECONDITION",
            f"Tensors with name '{alias}' from different tasks have different shapes and padding is turned off. "
            "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim.",
        )
    largest = np.max([array.shape[1:] for array in arrays], axis=0)
    zero = b"" if arrays[0].dtype == object else 0
    pads = [[(0, 0), *((0, int(missing)) for missing in largest - array.shape[1:])] for array in arrays]
    return [np.pad(array, pad, constant_values=zero) for array, pad in zip(arrays, pads, strict=True)]


def _check(outputs: Tensors, size: int) -> None:
    for array in outputs.values():
        if array.ndim == 0:
            raise TensorFlowError("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
        if len(array) != size:
            problem = "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors"
            raise TensorFlowError("FAILED_PRECONDITION", problem)


class BatchedServable:
    """A model in memory whose requests run in batches; it has the functions of `Servable` that requests need."""

    def __init__(self, servable: Servable, parameters: BatchingParameters, scheduler: BatchScheduler, seconds: float) -> None:
        """Take a loaded model; a request may wait for `seconds` in the queue.

        Raises TensorFlowError where the largest allowed batch size is not the largest batch size.
        """
        allowed, largest = parameters.allowed_batch_sizes, parameters.max_batch_size
        if allowed and allowed[-1] != largest:
            last = f"last entry was {allowed[-1]}; expected {largest}"
            raise TensorFlowError("INVALID_ARGUMENT", f"Last entry in allowed_batch_sizes must match max_batch_size; {last}")
        self._servable = servable
        self._parameters = parameters
        self._scheduler = scheduler
        self._seconds = seconds
        self.definitions = servable.definitions
        """The SignatureDef messages by name."""
        self.signatures = servable.signatures
        """The signatures by name."""

    def run(self, signature: str, feeds: Tensors, outputs: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        """Run a request together with others, and return its outputs by name; raises TensorFlowError like `Servable.run`.

        A batch that fails fails all its requests, as with the original; a name that does not fit is refused beforehand.
        """
        feeds = self._servable.complete(signature, feeds, outputs)
        size = _size(feeds)
        key = (self, signature, tuple(outputs or ()), tuple((alias, feeds[alias].dtype) for alias in sorted(feeds)))
        parts = self._scheduler.schedule(
            key, self._parameters, lambda batch: self._servable.run(signature, batch, outputs), feeds, size, self._seconds
        )
        results = [part.result() for part in parts]
        return dict(results[0]) if len(results) == 1 else {name: _joined([one[name] for one in results]) for name in results[0]}

    def close(self) -> None:
        """Free the model's memory; a second call does nothing."""
        self._servable.close()


def _size(feeds: Tensors) -> int:
    """Return the number of examples in a request; raises TensorFlowError where its inputs have none, or do not agree."""
    problem = ""
    if not feeds:
        problem = "must have at least one input tensor"
    elif any(array.ndim == 0 for array in feeds.values()):
        problem = "input tensors must have at least one dimension"
    elif len({len(array) for array in feeds.values()}) > 1:
        problem = "input tensors must have equal 0th-dimension size"
    if problem:
        raise TensorFlowError("INVALID_ARGUMENT", f"Batching session Run() {problem}")
    return len(next(iter(feeds.values())))


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    import numpy as np

    return np.concatenate(arrays)
