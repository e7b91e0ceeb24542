"""Counters from a Prometheus server that scrapes the model servers: the default on a cluster.

Two queries give a sample: all counters at one instant, and when each server was scraped. `scrape_targets` has the rules by which they
become counters of servers.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from tfcanary.adapters.metrics.objectives import MARK, contradictions, own_queries, with_own_counters
from tfcanary.adapters.metrics.prometheus_api import PrometheusApi
from tfcanary.adapters.metrics.queries import Labels, check_label_name, matchers, query
from tfcanary.adapters.metrics.scrape_targets import (
    Instant,
    Scrapes,
    TargetLabels,
    counters_of,
    interval,
    latest_scrapes,
    longest_interval,
    own_counters_of,
    servers_of,
)
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan, MetricsPlan

HISTORY = timedelta(hours=2)
"""The time that `history` covers: what the judge's calibration needs."""
STEP = timedelta(seconds=30)
"""Between two samples of `history`, at least; never less than between two scrapes."""
LOOKBACK = timedelta(minutes=5)
"""How far Prometheus itself looks back for a value: older ones are in no answer."""

LOADS = timedelta(minutes=15)
"""How long a new server may load beside others that answer, before it counts as missing."""

logger = logging.getLogger(__name__)


class PrometheusSource:
    """`ports.MetricSource` for one model, from a Prometheus."""

    def __init__(
        self,
        url: str,
        model: str,
        plan: MetricsPlan,
        selectors: Mapping[Track, Labels],
        entrypoint: str | None = None,
        judge: JudgePlan | None = None,
    ) -> None:
        """Nothing is asked yet. Raises Refused where the URL or a label is not valid, or the labels do not tell the tracks apart.

        `selectors` are, by track, labels that its series have and the other track's have not. The latency is that of one `entrypoint`
        (None: of all), as in `exposition.counters`. `judge` names counters of the user's own.
        """
        self._api = PrometheusApi(url, plan)
        self._model = model
        self._target_labels = TargetLabels(str(self._api), plan.pod_label)
        self._entrypoint = entrypoint
        self._judge = judge or JudgePlan()
        self._labels: Mapping[Track, Labels] = {track: {**plan.selectors, **selectors.get(track, {})} for track in Track}
        self._warnings: set[str] = set()
        self._answered: set[str] = set()
        self._first_seen: dict[str, float] = {}
        stable, canary = self._labels[Track.STABLE], self._labels[Track.CANARY]
        if not any(stable[name] != canary[name] for name in stable.keys() & canary.keys()):
            raise Refused(
                f"metrics: {stable} selects stable, {canary} the canary: must differ in the value of a label, else both count together"
            )
        for name in (plan.pod_label, *stable, *canary):
            check_label_name(name)

    def sample(self, track: Track, at: datetime) -> Sample:
        """As `ports.MetricSource.sample`. Raises Refused where series have no pod label, or Prometheus refuses the query."""
        scrapes = self._api.query(self._scrapes_query(track, LOOKBACK), at)
        counters = self._api.query(self._counters_query(track), at)
        labels = self._target_labels.with_replicas(scrapes, counters)
        instant = next(iter(labels.instants(counters).values()), {})
        return self._sample(track, instant, labels.scrapes(scrapes), at.timestamp())

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """As `ports.MetricSource.history`: a sample every STEP or scrape, with its seconds from the begin of HISTORY.

        Instants without any server are left out.
        """
        end = at.replace(microsecond=0)
        begin = end - HISTORY
        found = self._api.query(self._scrapes_query(track, HISTORY + LOOKBACK), end)
        step = max(STEP.total_seconds(), math.ceil(longest_interval(self._target_labels.with_replicas(found).scrapes(found))))
        counters = self._api.query_range(self._counters_query(track), begin, end, step)
        labels = self._target_labels.with_replicas(found, counters)
        scrapes, instants = labels.scrapes(found), labels.instants(counters)
        return iter([(when - begin.timestamp(), self._sample(track, instants[when], scrapes, when)) for when in sorted(instants)])

    def reach(self) -> None:
        """Send a query that selects no series. Raises Unavailable where no Prometheus answers, Refused where it refuses us."""
        self._api.query("vector(1)")

    def intervals(self, track: Track, at: datetime) -> dict[str, float]:
        """Seconds between two scrapes of each server that was scraped at least twice in the last minutes."""
        found = self._api.query(self._scrapes_query(track, LOOKBACK), at)
        scrapes = self._target_labels.with_replicas(found).scrapes(found)
        return {target.pod: interval(times) for target, times in scrapes.items() if len(times) > 1}

    def check(self, track: Track) -> None:
        """Query the user's own counters of a track once, now. Raises Refused where they select nothing or contradict the plan."""
        if not self._judge.selectors:
            return
        instants = self._target_labels.instants(self._api.query(" or ".join(own_queries(self._judge, self._labels[track]))))
        found = [one for instant in instants.values() for series in instant.values() for one in series]
        for place, selector in self._judge.selectors.items():
            if not any(one.labels.get(MARK) == place for one in found):
                raise Refused(
                    f"judge.{place} {selector!r}: selects no series with {matchers(self._labels[track])}, the labels of "
                    f"{track}; its servers must export it from the start, with 0"
                )
        if sentence := next(contradictions(self._judge, found), ""):
            raise Refused(sentence)

    def _counters_query(self, track: Track) -> str:
        labels = self._labels[track]
        return " or ".join([query("counters", self._model, labels), *own_queries(self._judge, labels)])

    def _scrapes_query(self, track: Track, back: timedelta) -> str:
        return query("scrapes", self._model, self._labels[track], f"{back.total_seconds():.0f}s")

    def _sample(self, track: Track, instant: Instant, scrapes: Scrapes, at: float) -> Sample:
        latest = latest_scrapes(scrapes, at)
        own = own_counters_of(instant, latest)
        servers: dict[str, Counters] = {}
        pods = servers_of(instant, latest)
        silent = [pod for pod, series in pods.items() if isinstance(series, str)]
        self._answered |= pods.keys() - silent
        self._answered |= {target.pod for target, series in instant.items() if any(one.name != "up" for one in series)}
        loading = [pod for pod in silent if self._loads(pod, at)] if len(silent) < len(pods) else []
        for pod, series in pods.items():
            if pod in loading:
                continue
            counters = series if isinstance(series, str) else counters_of(series, self._entrypoint)
            if isinstance(counters, str):
                self._warn_once(f"{self._api}: {pod} of {track} {counters}: it counts as missing")
            else:
                servers[pod] = with_own_counters(self._judge, own.get(pod, ()), counters)
        return Sample(track, up=0 < len(pods) - len(loading) == len(servers), servers=servers, every=longest_interval(scrapes))

    def _loads(self, pod: str, at: float) -> bool:
        """Whether a silent pod is new: it joined a pool that grows, and nobody sends it requests before it is ready."""
        return pod not in self._answered and at - self._first_seen.setdefault(pod, at) < LOADS.total_seconds()

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self._warnings:
            self._warnings.add(sentence)
            logger.warning("%s", sentence)
