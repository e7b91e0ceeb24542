"""The server's Prometheus page: TF Serving's metrics, with its names, labels, buckets and digits.

Written by hand (util/prometheus_exporter.cc): prometheus_client appends `_total` to counters and cannot reproduce the names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from threading import Lock

from tfcanary.core.domain import LATENCY_BOUNDS

SERIES_LIMIT = 1000
"""Series of one metric. Clients choose model names; what comes after that many of them is counted under empty labels."""


class Counter:
    """A number by labels, that only grows."""

    kind = "counter"

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._labels = labels
        self._lock = Lock()
        self._values: dict[tuple[str, ...], int] = {}

    def add(self, *values: str, amount: int = 1) -> None:
        """Count under these values of the labels."""
        with self._lock:
            key = _key(self._values, values)
            self._values[key] = self._values.get(key, 0) + amount

    def lines(self) -> Iterator[str]:
        """One line a series."""
        with self._lock:
            values = sorted(self._values.items())
        return (f"{self.name}{{{_pairs(self._labels, key)}}} {value}" for key, value in values)


class Histogram:
    """Microseconds by labels, in TF Serving's 34 latency buckets. A bound is exclusive: 10 falls into the bucket above 10."""

    kind = "histogram"

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._labels = labels
        self._lock = Lock()
        self._cells: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, microseconds: float, *values: str) -> None:
        """Count one duration under these values of the labels."""
        bucket = bisect_right(LATENCY_BOUNDS, microseconds)
        with self._lock:
            counts, total = self._cells.setdefault(_key(self._cells, values), ([0] * (len(LATENCY_BOUNDS) + 1), [0.0]))
            counts[bucket] += 1
            total[0] += microseconds

    def lines(self) -> Iterator[str]:
        """The buckets, sum and count of each series."""
        with self._lock:
            cells = [(key, list(accumulate(counts)), total[0]) for key, (counts, total) in sorted(self._cells.items())]
        for key, counts, total in cells:
            pairs = _pairs(self._labels, key)
            comma = "," if pairs else ""
            for bound, count in zip(BOUNDS, counts, strict=True):
                yield f'{self.name}_bucket{{{pairs}{comma}le="{bound}"}} {count}'
            yield f"{self.name}_sum{{{pairs}}} {total:.6g}"
            yield f"{self.name}_count{{{pairs}}} {counts[-1]}"


BOUNDS = (*(f"{bound:.6g}" for bound in LATENCY_BOUNDS), "+Inf")


class Page:
    """All metrics of one server. Those that nothing was counted in show their type alone, as the original's do."""

    def __init__(self) -> None:
        self.requests = Counter(":tensorflow:serving:request_count", "model_name", "status")
        """Every REST request below /v1/, whatever it asks, and every gRPC Predict."""
        self.latency = Histogram(":tensorflow:serving:request_latency", "model_name", "API", "entrypoint")
        """The answered ones among them."""
        self.runtime = Histogram(":tensorflow:serving:runtime_latency", "model_name", "API", "runtime")
        """Inside TensorFlow; warm-up requests too."""
        self.logged = Counter(":tensorflow:serving:request_log_count", "model_name", "status_code")
        """The request log: OK is kept, RESOURCE_EXHAUSTED is dropped because the disk is too slow."""
        self.loads = Counter(":tensorflow:cc:saved_model:load_attempt_count", "model_path", "status")
        self.load_time = Counter(":tensorflow:cc:saved_model:load_latency", "model_path")
        """Microseconds."""

    def text(self) -> str:
        """The page."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for metric in sorted(vars(self).values(), key=lambda metric: str(metric.name)):
            yield f"# TYPE {metric.name} {metric.kind}"
            yield from metric.lines()


def _key(series: Mapping[tuple[str, ...], object], values: tuple[str, ...]) -> tuple[str, ...]:
    return values if values in series or len(series) < SERIES_LIMIT else ("",) * len(values)


def _pairs(labels: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
