"""The server's Prometheus page: TF Serving's metrics, with its names, labels, buckets and digits (util/prometheus_exporter.cc).

prometheus_client is not used: it appends `_total` to the names of counters, so it cannot write TF Serving's names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from threading import Lock

from tfcanary.core.domain import LATENCY_BOUNDS

MAX_SERIES = 1000
"""The most series of one metric. Clients choose the names of models, so further ones are counted under empty labels."""


class Counter:
    """A number for each combination of labels, which only grows."""

    kind = "counter"

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._labels = labels
        self._lock = Lock()
        self._values: dict[tuple[str, ...], int] = {}

    def add(self, *values: str, amount: int = 1) -> None:
        """Add `amount` to the series with these values of the labels."""
        with self._lock:
            key = _key(self._values, values)
            self._values[key] = self._values.get(key, 0) + amount

    def lines(self) -> Iterator[str]:
        """Yield one line for each series."""
        with self._lock:
            values = sorted(self._values.items())
        return (f"{self.name}{{{_pairs(self._labels, key)}}} {value}" for key, value in values)


class Histogram:
    """Values for each combination of labels, counted in buckets.

    A bucket's bound is exclusive: 10 falls into the bucket above 10. There is one more bucket, for the values above all bounds.
    """

    kind = "histogram"

    def __init__(self, name: str, *labels: str, bounds: Sequence[float] = LATENCY_BOUNDS) -> None:
        self.name = name
        self._labels = labels
        self._bounds = tuple(bounds)
        self._texts = (*map(_number, bounds), "+Inf")
        self._lock = Lock()
        self._series: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count one value, a latency in microseconds, in the series with these values of the labels."""
        bucket = bisect_right(self._bounds, value)
        with self._lock:
            counts, total = self._series.setdefault(_key(self._series, labels), ([0] * len(self._texts), [0.0]))
            counts[bucket] += 1
            total[0] += value

    def lines(self) -> Iterator[str]:
        """Yield the buckets, the sum and the count of each series."""
        with self._lock:
            series = [(key, list(accumulate(counts)), total[0]) for key, (counts, total) in sorted(self._series.items())]
        for key, counts, total in series:
            pairs = _pairs(self._labels, key)
            comma = "," if pairs else ""
            for bound, count in zip(self._texts, counts, strict=True):
                yield f'{self.name}_bucket{{{pairs}{comma}le="{bound}"}} {count}'
            yield f"{self.name}_sum{{{pairs}}} {_number(total)}"
            yield f"{self.name}_count{{{pairs}}} {counts[-1]}"


EXAMPLE_BOUNDS = tuple(2.0**exponent for exponent in range(15))
"""The bounds of the buckets of request_example_counts."""


BATCH_BOUNDS = tuple(2.0**exponent for exponent in range(14))
"""The bounds of the buckets of batch sizes."""
QUEUE_BOUNDS = tuple(100 * 1.2**exponent for exponent in range(52))
"""The bounds of the buckets of the time in a queue of batches, in microseconds."""


class MetricsPage:
    """All metrics of one server; for a metric without series the page has the line of its type alone, as the original's."""

    def __init__(self, faults: Counter | None = None) -> None:
        self.faults = faults
        """Injected faults; None, and not on the page, where nothing is injected."""
        self.requests = Counter(":tensorflow:serving:request_count", "model_name", "status")
        """Every REST request below /v1/, whatever it asks, and every gRPC Predict, Classify and Regress."""
        self.latency = Histogram(":tensorflow:serving:request_latency", "model_name", "API", "entrypoint")
        """The latency of those of these requests that succeeded."""
        self.runtime = Histogram(":tensorflow:serving:runtime_latency", "model_name", "API", "runtime")
        """The time that TensorFlow takes for a request; warm-up requests are counted, too."""
        self.example_counts = Histogram(":tensorflow:serving:request_example_counts", "model", bounds=EXAMPLE_BOUNDS)
        """The examples of each Classify, Regress and MultiInference that succeeded in TensorFlow."""
        self.examples = Counter(":tensorflow:serving:request_example_count_total", "model")
        """All examples of these requests."""
        self.warmup_latency = Histogram(":tensorflow:serving:model_warmup_latency", "model_path", "status")
        """The time that all warm-up requests of a version took together."""
        self.warmup_records = Counter(":tensorflow:serving:model_warmup_records_read", "model_path", "status")
        """The warm-up requests of a version; neither metric counts a version of which a warm-up request failed."""
        self.request_logs = Counter(":tensorflow:serving:request_log_count", "model_name", "status_code")
        """Requests in the sample of the request log, by the outcomes of `request_log.CountOutcome`."""
        self.loads = Counter(":tensorflow:cc:saved_model:load_attempt_count", "model_path", "status")
        """Attempts to load a version; the status is success or fail."""
        self.load_time = Counter(":tensorflow:cc:saved_model:load_latency", "model_path")
        """Microseconds that successful loads took."""

        batching = ":tensorflow:serving:batching_session"
        self.queuing = Histogram(f"{batching}:queuing_latency", "thread_pool_name", bounds=QUEUE_BOUNDS)
        """The time that a request waits for its batch; the name of the pool is empty, as with the original."""
        self.batch_runs = Counter(f"{batching}:wrapped_run_count")
        """All batches that TensorFlow was given."""
        self.batched_requests = Histogram(f"{batching}:input_batch_size", bounds=BATCH_BOUNDS)
        """The examples of each request that is put into a batch."""
        self.batches = Histogram(f"{batching}:processed_batch_size", bounds=BATCH_BOUNDS)
        """The examples of each batch, with those that fill it up."""
        self.batch_padding = Histogram(f"{batching}:padding_size", "execution_batch_size", bounds=BATCH_BOUNDS)
        """The examples that fill a batch up to an allowed size."""

    def count_examples(self, model: str, number: int) -> None:
        """Count the examples of one request."""
        self.example_counts.observe(number, model)
        self.examples.add(model, amount=number)

    def text(self) -> str:
        """Return the page in Prometheus's text format."""
        lines: list[str] = []
        for metric in sorted(filter(None, vars(self).values()), key=lambda metric: str(metric.name)):
            lines += [f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "".join(f"{line}\n" for line in lines)


def _key(series: Mapping[tuple[str, ...], object], values: tuple[str, ...]) -> tuple[str, ...]:
    return values if values in series or len(series) < MAX_SERIES else ("",) * len(values)


def _pairs(labels: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{label}="{_escape(value)}"' for label, value in zip(labels, values, strict=True))


def _number(value: float) -> str:
    """Return a number with six digits, as the original prints it."""
    return f"{value:.6g}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
