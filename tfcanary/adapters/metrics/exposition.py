"""From a model server's Prometheus page to its counters: pure, for whoever fetched the page.

Series appear with the first request, so that absent is zero here: whether the page is there at all, its reader knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tfcanary.core.domain import LATENCY_BOUNDS, Counters
from tfcanary.core.errors import Unavailable

PREFIX = ":tensorflow:serving:"
VERBS = ("predict", "classify", "regress")
"""In REST as in the URL, in gRPC with a capital; GETs have an empty one."""


class Series(NamedTuple):
    """One line of the page."""

    name: str
    labels: Mapping[str, str]
    value: float


def counters(page: str, model: str, entrypoint: str | None = "REST") -> Counters:
    """What `model` has counted. Answered requests are those of all entry points, the latency that of one (None: of all).

    REST's latency includes the parsing of JSON, gRPC's does not begin before its message is parsed: a histogram of both moves
    when clients change over. Raises Unavailable where the text is no metrics page or its numbers are none.
    """
    wanted = [one for one in series(page) if one.labels.get("model_name") == model]
    answered = [one for one in wanted if one.labels.get("API", "").lower() in VERBS]
    failed = [one for one in wanted if one.name == f"{PREFIX}request_count" and one.labels.get("status") != "OK"]
    errors = _sums((one.labels.get("status", ""), one.value) for one in failed)
    ok = sum(one.value for one in answered if one.name == f"{PREFIX}request_latency_count")
    buckets = (one for one in answered if one.name == f"{PREFIX}request_latency_bucket")
    return Counters(ok, errors, _latency(one for one in buckets if entrypoint in (None, one.labels.get("entrypoint"))))


def series(page: str) -> Iterator[Series]:
    """Every line of the page; raises Unavailable at the first that is none, or has no finite value."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if not math.isfinite(sample.value):
                    raise Unavailable(f"the metrics page says {sample.value} for {sample.name}")
                # The parser's word for a counter is `…_total`, whatever the page says.
                name = family.name if family.type == "counter" else sample.name
                yield Series(name, sample.labels, sample.value)
    except ValueError as error:
        raise Unavailable(f"what answers is no metrics page ({error})") from error


def _latency(buckets: Iterable[Series]) -> tuple[float, ...]:
    """The cumulative buckets; raises Unavailable where they are not TF Serving's."""
    counts = _sums((one.labels.get("le", ""), one.value) for one in buckets)
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
"""As the page prints them."""
