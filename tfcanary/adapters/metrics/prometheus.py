"""Counters from a Prometheus server that scrapes the model servers: the default on a cluster.

Two questions give a sample: every counter at one instant, and when each server was scraped. The rules:

* A server is a pod: the label `plan.MetricsPlan.pod_label`. Of several scrape targets of one pod (a restarted pod that
  kept its name, a second job) the one that has the model's series counts, then the one that was scraped last.
* A pod is up when each of its targets that still is scraped is up. A target that was not scraped for twice its interval is
  gone; a pod without any other is missing, and the track is not up.
* A pod that is up and has no series has counted nothing yet: TF Serving shows a series from its first request on.
* A value that is no finite number, or a histogram that is not TF Serving's, makes its pod missing.
* Series of the user's own counters count from all of a pod's targets that are still scraped. They never make a pod missing.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tfcanary.adapters.metrics.exposition import BOUNDS, PREFIX, Series
from tfcanary.adapters.metrics.objectives import MARK, counted, questions, unsound
from tfcanary.adapters.metrics.queries import Labels, label_name, matchers, query
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import JudgePlan, MetricsPlan
from tfcanary.core.retry import Pauses, attempts

HISTORY = timedelta(hours=2)
"""How far back `history` goes: what the judge's calibration wants."""

STEP = timedelta(seconds=30)
"""Between two samples of `history`, at least: not less than between two scrapes."""

LOOKBACK = timedelta(minutes=5)
"""How far Prometheus itself looks back for a value: what is older was never in an answer."""

USUAL_INTERVAL = 60.0
"""Seconds between two scrapes of a server that was scraped only once so far: Prometheus' default, on the safe side."""

PAUSES = Pauses(first=0.2, longest=1.0, attempts=4)
"""Between two attempts of one query."""

Answer = TypeVar("Answer")

Target = tuple[str, str, str]
"""Pod, job and instance: what Prometheus scrapes."""


Instant = Mapping[Target, Sequence[Series]]
"""What Prometheus knows at one instant."""


class PrometheusSource:
    """`ports.MetricSource` for one model. `selectors`: by track, labels that its series have and the other track's have not.

    The latency is that of one entry point (None: of all), as in `exposition.counters`. `judge` names counters of the user's own.
    """

    def __init__(
        self,
        url: str,
        model: str,
        plan: MetricsPlan,
        selectors: Mapping[Track, Labels],
        entrypoint: str | None = "REST",
        judge: JudgePlan | None = None,
    ) -> None:
        self._url = _checked(url)
        self._model = model
        self._plan = plan
        self._entrypoint = entrypoint
        self._judge = judge or JudgePlan()
        self._labels: Mapping[Track, Labels] = {track: {**plan.selectors, **selectors.get(track, {})} for track in Track}
        stable, canary = self._labels[Track.STABLE], self._labels[Track.CANARY]
        if not any(stable[name] != canary[name] for name in stable.keys() & canary.keys()):
            raise Refused(
                f"metrics: {stable} selects stable, {canary} the canary: must differ in the value of a label, else both count together"
            )
        for name in (plan.pod_label, *stable, *canary):
            label_name(name)

    def sample(self, track: Track, at: datetime) -> Sample:
        """As promised by the port. Raises Refused where series have no pod label, or Prometheus takes no such question."""
        times = self._scrapes(track, at, LOOKBACK)
        text = self._counters(track)
        found = self._answer(lambda left: self._by_instant(self._client.custom_query(text, _at(at), left)))
        instant = next(iter(found.values()), {})
        return replace(self._sample(track, instant, _fresh(times, at.timestamp())), every=_slowest(times))

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """As promised by the port: every STEP or scrape, seconds from the begin of HISTORY; instants without any server are left out."""
        end = at.replace(microsecond=0)
        begin = end - HISTORY
        times = self._scrapes(track, end, HISTORY + LOOKBACK)
        text = self._counters(track)
        step = f"{max(STEP.total_seconds(), math.ceil(_slowest(times))):.0f}s"
        found = self._answer(lambda left: self._by_instant(self._client.custom_query_range(text, begin, end, step, timeout=left)))
        every = _slowest(times)
        samples = ((when, replace(self._sample(track, found[when], _fresh(times, when)), every=every)) for when in sorted(found))
        return iter([(when - begin.timestamp(), sample) for when, sample in samples])

    def reach(self) -> None:
        """Ask for nothing in particular. Raises Unavailable where no Prometheus answers, Refused where it does not let us ask."""
        self._answer(lambda left: list(self._client.custom_query("vector(1)", None, left)))

    def intervals(self, track: Track, at: datetime) -> dict[str, float]:
        """Seconds between two scrapes of each server that was scraped twice at least in the last minutes."""
        times = self._scrapes(track, at, LOOKBACK)
        return {target[0]: _interval(scraped) for target, scraped in times.items() if len(scraped) > 1}

    def check(self, track: Track) -> None:
        """Ask for the user's own counters of a track once, now. Raises Refused where they cannot be what the plan says, or select nothing."""
        if not self._judge.selectors:
            return
        text = " or ".join(questions(self._judge, self._labels[track]))
        instants = self._answer(lambda left: self._by_instant(self._client.custom_query(text, None, left)))
        found = [one for instant in instants.values() for series in instant.values() for one in series]
        for place, selector in self._judge.selectors.items():
            if not any(one.labels.get(MARK) == place for one in found):
                raise Refused(
                    f"judge.{place} {selector!r}: selects no series with {matchers(self._labels[track])}, the labels of "
                    f"{track}; its servers must export it from the start, with 0"
                )
        if wrong := next(unsound(self._judge, found), ""):
            raise Refused(wrong)

    def _counters(self, track: Track) -> str:
        labels = self._labels[track]
        return " or ".join([query("counters", self._model, labels), *questions(self._judge, labels)])

    @cached_property
    def _client(self) -> Any:
        # With `requests` this takes 0.2 s to import: a step that reads the servers' own pages does not pay for it.
        from prometheus_api_client import PrometheusConnect
        from urllib3.util import Retry

        return PrometheusConnect(url=self._url, retry=Retry(total=0))

    def _scrapes(self, track: Track, at: datetime, back: timedelta) -> dict[Target, list[float]]:
        """When each target was scraped, in seconds since the epoch, rising."""
        text = query("scrapes", self._model, self._labels[track], f"{back.total_seconds():.0f}s")
        return self._answer(lambda left: self._by_target(self._client.custom_query(text, _at(at), left)))

    def _by_instant(self, found: Iterable[Any]) -> dict[float, Instant]:
        instants: dict[float, dict[Target, list[Series]]] = defaultdict(lambda: defaultdict(list))
        for one in found:
            labels = one["metric"]
            for when, value in one.get("values") or [one["value"]]:
                instants[float(when)][self._target(labels)].append(Series(labels["__name__"], labels, float(value)))
        return {when: dict(targets) for when, targets in instants.items()}

    def _by_target(self, found: Iterable[Any]) -> dict[Target, list[float]]:
        return {self._target(one["metric"]): [float(when) for when, _ in one["values"]] for one in found}

    def _target(self, labels: Mapping[str, str]) -> Target:
        pod = labels.get(self._plan.pod_label)
        if not pod:
            right = f"metrics.pod_label must name the label that tells servers apart; it has {', '.join(sorted(labels))}"
            raise Refused(f"{_shown(self._url)}: {labels.get('__name__', 'a series')} has no label {self._plan.pod_label!r}; {right}")
        return pod, labels.get("job", ""), labels.get("instance", "")

    def _sample(self, track: Track, instant: Instant, scraped: Mapping[Target, float]) -> Sample:
        pods: dict[str, dict[Target, Sequence[Series]]] = defaultdict(dict)
        marked: dict[str, list[Series]] = defaultdict(list)
        for target, series in instant.items():
            if own := [one for one in series if MARK not in one.labels]:
                pods[target[0]][target] = own
            if target in scraped:
                marked[target[0]] += [one for one in series if MARK in one.labels]
        found = {pod: _server(pods[pod], scraped) for pod in sorted(pods)}
        read = {pod: _counters(series, self._entrypoint) for pod, series in found.items() if series is not None}
        servers = {pod: counted(self._judge, marked[pod], counters) for pod, counters in read.items() if counters is not None}
        return Sample(track, up=0 < len(pods) == len(servers), servers=servers)

    def _answer(self, ask: Callable[[float], Answer]) -> Answer:
        """The answer, within the plan's timeout; what may pass is asked again."""
        failure: Unavailable | None = None
        for attempt in attempts(PAUSES, self._plan.timeout.total_seconds()):
            try:
                return self._once(ask, attempt.left)
            except Unavailable as error:
                failure = error
        assert failure
        raise failure

    def _once(self, ask: Callable[[float], Answer], left: float) -> Answer:
        import requests
        from prometheus_api_client.exceptions import PrometheusApiClientException

        shown = _shown(self._url)
        try:
            return ask(left)
        except PrometheusApiClientException as error:
            # The client keeps the status in its text only.
            raise _refusal(shown, " ".join(str(error).split())[:300]) from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Unavailable(f"{shown}: what answers there is no Prometheus ({type(error).__name__})") from error
        except requests.RequestException as error:
            raise Unavailable(f"{shown}: cannot reach Prometheus ({type(error).__name__})") from error


def _at(at: datetime) -> dict[str, str]:
    return {"time": f"{at.timestamp():.3f}"}


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise Refused(f"metrics.url {_shown(url)!r}: must be Prometheus' address, for example http://prometheus.monitoring:9090")
    return url.rstrip("/")


def _shown(url: str) -> str:
    """Without a name and a password."""
    return re.sub(r"//[^/]*@", "//", url)


def _refusal(shown: str, text: str) -> Refused | Unavailable:
    status = re.search(r"HTTP Status Code (\d+)", text)
    if status and status[1].startswith("4") and status[1] not in ("408", "429"):
        return Refused(f"{shown}: Prometheus refuses the question ({text})")
    return Unavailable(f"{shown}: Prometheus could not answer ({text})")


def _fresh(times: Mapping[Target, Sequence[float]], at: float) -> dict[Target, float]:
    """When each target was scraped last before `at`, without those that have missed two scrapes."""
    last = {target: scraped[bisect_right(scraped, at) - 1] for target, scraped in times.items() if scraped and scraped[0] <= at}
    return {target: when for target, when in last.items() if at - when <= 2 * _interval(times[target])}


def _slowest(times: Mapping[Target, Sequence[float]]) -> float:
    """Seconds between two scrapes of the servers that are scraped most rarely; 0 where none was scraped twice."""
    return max((_interval(scraped) for scraped in times.values() if len(scraped) > 1), default=0.0)


def _interval(scraped: Sequence[float]) -> float:
    return median(later - sooner for sooner, later in pairwise(scraped)) if len(scraped) > 1 else USUAL_INTERVAL


def _server(targets: Mapping[Target, Sequence[Series]], scraped: Mapping[Target, float]) -> Sequence[Series] | None:
    """The series of one pod, by the rules above; None where it is missing."""
    alive = {target: series for target, series in targets.items() if target in scraped}
    if not alive or not all(_is_up(series) for series in alive.values()):
        return None
    chosen = max(alive, key=lambda target: (len(alive[target]) > 1, scraped[target], target))
    return alive[chosen]


def _is_up(series: Iterable[Series]) -> bool:
    answers = [one.value for one in series if one.name == "up"]
    return bool(answers) and all(answer == 1 for answer in answers)


def _counters(series: Sequence[Series], entrypoint: str | None) -> Counters | None:
    """What one server has counted; None where its numbers are none."""
    if not all(math.isfinite(one.value) for one in series):
        return None
    errors: dict[str, float] = defaultdict(float)
    for one in series:
        if one.name == f"{PREFIX}request_count":
            errors[one.labels.get("status", "")] += one.value
    ok = sum(one.value for one in series if one.name == f"{PREFIX}request_latency_count")
    latency = _latency(series, entrypoint)
    return None if latency is None else Counters(ok, dict(errors), latency)


def _latency(series: Iterable[Series], entrypoint: str | None) -> tuple[float, ...] | None:
    """The cumulative buckets, none where there are none; None where they are not TF Serving's."""
    counts: dict[str, float] = defaultdict(float)
    for one in series:
        if one.name == f"{PREFIX}request_latency_bucket" and entrypoint in (None, one.labels.get("entrypoint")):
            counts[_bound(one.labels.get("le", ""))] += one.value
    if counts and counts.keys() != set(BOUNDS):
        return None
    return tuple(counts[bound] for bound in BOUNDS) if counts else ()


def _bound(text: str) -> str:
    """As TF Serving prints it; Prometheus 3 writes 10 as 10.0."""
    try:
        bound = float(text)
    except ValueError:
        return text
    return f"{bound:.6g}" if math.isfinite(bound) else "+Inf"
