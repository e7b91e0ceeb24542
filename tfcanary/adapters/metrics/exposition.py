"""Reads the counters of a model server from its Prometheus page: pure, for the module that fetches the page.

TF Serving shows a series from the first request on, so a series that is missing counts as zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tfcanary.core.domain import LATENCY_BOUNDS, Counters
from tfcanary.core.errors import Unavailable

PREFIX = ":tensorflow:serving:"
VERBS = ("predict", "classify", "regress")
"""The values of the label `API` of predictions, in lower case: REST writes them so, gRPC with a capital. A GET's is empty."""


class Series(NamedTuple):
    """One line of a metrics page: a series and its value."""

    name: str
    labels: Mapping[str, str]
    value: float


def counters(page: str, model: str, entrypoint: str | None = None) -> Counters:
    """The counters of `model` on a page: answered requests of all entry points, and the latency of one (`entrypoint` None: of all).

    REST's latency includes the parsing of JSON, gRPC's begins after its message is parsed, so a histogram of both moves when clients
    change from one to the other; two tracks can be compared by it, for each draws its requests from the same clients. Raises Unavailable
    where the text is not a metrics page or a value is not a finite number.
    """
    lines = [one for one in series(page) if one.labels.get("model_name") == model]
    predictions = [one for one in lines if one.labels.get("API", "").lower() in VERBS]
    failures = [one for one in lines if one.name == f"{PREFIX}request_count" and one.labels.get("status") != "OK"]
    errors = _sums((one.labels.get("status", ""), one.value) for one in failures)
    ok = sum(one.value for one in predictions if one.name == f"{PREFIX}request_latency_count")
    timed = [one for one in predictions if entrypoint in (None, one.labels.get("entrypoint"))]
    return Counters(ok, errors, _latency(timed), latency_sum=latency_sum(timed))


def series(page: str) -> Iterator[Series]:
    """Yield every line of a page. Raises Unavailable at the first that is not one, or has no finite value."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if not math.isfinite(sample.value):
                    raise Unavailable(f"the metrics page has the value {sample.value} for {sample.name}")
                # The parser calls a counter `…_total`, whatever its name on the page is.
                name = family.name if family.type == "counter" else sample.name
                yield Series(name, sample.labels, sample.value)
    except ValueError as error:
        raise Unavailable(f"the answer is not a metrics page ({error})") from error


def latency_sum(timed: Iterable[Series]) -> float | None:
    """The sum of the latencies in microseconds, from the series of the entry points that count; None where none of them has it."""
    sums = [one.value for one in timed if one.name == f"{PREFIX}request_latency_sum"]
    return math.fsum(sums) if sums else None


def _latency(timed: Iterable[Series]) -> tuple[float, ...]:
    """The cumulative buckets, empty where there are none. Raises Unavailable where they are not TF Serving's."""
    counts = _sums((one.labels.get("le", ""), one.value) for one in timed if one.name == f"{PREFIX}request_latency_bucket")
    if not counts:
        return ()
    if counts.keys() != set(BOUNDS):
        raise Unavailable(f"{PREFIX}request_latency has the buckets {', '.join(sorted(counts)[:5])}…: they are not TF Serving's")
    return tuple(counts[bound] for bound in BOUNDS)


def _sums(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for key, value in values:
        sums[key] = sums.get(key, 0.0) + value
    return sums


BOUNDS = (*(f"{bound:.6g}" for bound in LATENCY_BOUNDS), "+Inf")
"""The upper bounds of the latency's buckets, as the page prints them."""
