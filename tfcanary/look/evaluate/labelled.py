"""Labels as counters: a metric source with labelled quality added, so that the judge treats it like every other metric.

Labels arrive late, also for old requests, so each count starts again at the canary's first request. A count takes some time, and the
watch must not wait for it: it runs in a thread of its own, and a poll takes the result of the last one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, TimeoutError
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock

from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import TfcanaryError
from tfcanary.core.ports import MetricSource

log = logging.getLogger("tfcanary.labels")

EVERY = timedelta(seconds=60)
"""Shortest time between two counts; after a count that took longer, the pause is as long as the count."""
PATIENCE = 30.0
"""Seconds that the first poll waits for the first count, from which the judge takes stable's level once."""
SINCE, BEFORE = "labels", "labels-before"
"""Names of these counters among those of the servers: for the answers since the canary's first request, and for stable's earlier ones."""

Quality = tuple[float, float, float]
"""Sum and sum of squares of the right answers, and number of labelled answers, as in `domain.Counters.quality`."""


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The result of one count of the labels."""

    before: Quality
    """Stable's quality before the canary's first request, which is its level."""
    since: Mapping[Track, Quality]
    """Quality of both tracks since the canary's first request."""


@dataclass(slots=True)
class LabelledSource:
    """A `MetricSource` whose samples also hold the labelled quality of their track, like the counters of one more server."""

    inner: MetricSource
    count: Callable[[], LabelCounts]
    """Counts the labels; raises TfcanaryError where labels or answers cannot be read, and then the last result stays."""
    threads: Executor
    """Runs the counts, one at a time."""
    _latest: LabelCounts | None = None
    _running: Future[LabelCounts] | None = None
    _began: datetime | None = None
    _due: datetime | None = None
    _at: datetime | None = None
    _lock: Lock = field(default_factory=Lock)

    def sample(self, track: Track, at: datetime) -> Sample:
        """The counters of a track with the last count of its labels; both tracks of a poll get them from one count.

        Labels of the baseline's answers are counted with the stable track's.
        """
        sample = self.inner.sample(track, at)
        if track is Track.BASELINE:
            return sample
        with self._lock:
            if at != self._at:
                self._refresh(at)
                self._at = at
            counters = _as_counters(self._latest, track)
        return replace(sample, servers={**sample.servers, **counters}) if sample.servers else sample

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """The history of the inner source without labels, as their times of arrival are not recorded."""
        return self.inner.history(track, at)

    def _refresh(self, at: datetime) -> None:
        """Take the result of a count that has ended, and start the next one where it is due; only the first one is waited for."""
        first = self._due is None
        if self._running is None and (self._due is None or at >= self._due):
            self._running, self._began, self._due = self.threads.submit(self.count), at, at
        if self._running is None or not (first or self._running.done()):
            return
        try:
            self._latest = _never_smaller(self._latest, self._running.result(PATIENCE))
        except TimeoutError:
            log.warning("the labels are still being counted after %.0f s: the watch continues without them", PATIENCE)
            return
        except TfcanaryError as error:
            log.warning("labels: %s; the last counts stay, and the labels will be counted again", error)
        self._running, self._due = None, at + max(EVERY, at - (self._began or at))


def _as_counters(counts: LabelCounts | None, track: Track) -> dict[str, Counters]:
    """The counts as counters with the same names at every poll, as the judge takes a name that comes and goes for a server."""
    since = Counters(ok=0.0, quality=counts.since[track] if counts else None)
    if track is Track.CANARY:
        return {SINCE: since}
    return {SINCE: since, BEFORE: Counters(ok=0.0, quality=counts.before if counts else None)}


def _never_smaller(last: LabelCounts | None, new: LabelCounts) -> LabelCounts:
    """The new counts, or the last ones of a track where labels or answers have vanished: cumulative counters only grow."""
    if last is None:
        return new
    since = dict(new.since)
    for track, quality in last.since.items():
        if new.since[track][2] < quality[2]:
            log.warning(
                "%s: %.0f labelled answers, after %.0f in the last count: some are gone, and the counts stay until there are more",
                track.value,
                new.since[track][2],
                quality[2],
            )
            since[track] = quality
    # Late labels for answers before the release say nothing about these minutes, so the level stays as it was first counted.
    return LabelCounts(last.before, since)
