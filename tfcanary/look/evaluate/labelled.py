"""Labels as counters: a metric source to which labelled quality is added, so that the judge watches it like everything else.

Labels arrive late and for old requests, too, so all of them since the canary's first request are counted again at each look. Counting
takes a while, and the watch must not wait for it: it is done beside the watch, and a poll takes what was counted last.
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
"""New labels are looked for no more often; and after a look that took longer, there is a pause as long as it."""
PATIENCE = 30.0
"""Seconds that the first poll waits to be told: stable's level is taken from it, once."""
SINCE, BEFORE = "labels", "labels-before"
"""The names by which the judge knows these counters among those of the servers: of the release's answers, and of stable's earlier ones."""

Quality = tuple[float, float, float]
"""Sum, sum of squares and number of right answers with a label, as `domain.Counters.quality` holds them."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What one look at the labels has counted."""

    before: Quality
    """Of stable, before the canary's first request: its level."""
    since: Mapping[Track, Quality]
    """Of both tracks from then on."""


@dataclass(slots=True)
class LabelledSource:
    """A `MetricSource` whose samples hold the labelled quality of their track, as if one more server had counted it."""

    inner: MetricSource
    count: Callable[[], Labelled]
    """Raises an error of ours where labels or answers cannot be read: then what was known before stays."""
    threads: Executor
    """Where it is counted, one look at a time."""
    _known: Labelled | None = None
    _running: Future[Labelled] | None = None
    _began: datetime | None = None
    _due: datetime | None = None
    _at: datetime | None = None
    _lock: Lock = field(default_factory=Lock)

    def sample(self, track: Track, at: datetime) -> Sample:
        """The track's counters, with what was last counted of its labels; both tracks of a poll get it from the same look."""
        sample = self.inner.sample(track, at)
        with self._lock:
            if at != self._at:
                self._look(at)
                self._at = at
            counted = _as_counters(self._known, track)
        return replace(sample, servers={**sample.servers, **counted}) if sample.servers else sample

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Without labels: when each of them arrived, nobody has written down."""
        return self.inner.history(track, at)

    def _look(self, at: datetime) -> None:
        """Take what was counted meanwhile, and count again where it is due; only the very first look is waited for."""
        first = self._due is None
        if self._running is None and (self._due is None or at >= self._due):
            self._running, self._began, self._due = self.threads.submit(self.count), at, at
        if self._running is None or not (first or self._running.done()):
            return
        try:
            self._known = _grown(self._known, self._running.result(PATIENCE))
        except TimeoutError:
            log.warning("the labels are still being counted after %.0f s: the watch goes on without them", PATIENCE)
            return
        except TfcanaryError as error:
            log.warning("labels: %s; what was counted before stays, and labels are looked for again", error)
        self._running, self._due = None, at + max(EVERY, at - (self._began or at))


def _as_counters(known: Labelled | None, track: Track) -> dict[str, Counters]:
    """The same names at every poll: one that comes and goes would be a server that does."""
    since = Counters(ok=0.0, quality=known.since[track] if known else None)
    if track is Track.CANARY:
        return {SINCE: since}
    return {SINCE: since, BEFORE: Counters(ok=0.0, quality=known.before if known else None)}


def _grown(before: Labelled | None, now: Labelled) -> Labelled:
    """Cumulative counters only grow: labels or answers that have vanished since the last look are kept as they were counted."""
    if before is None:
        return now
    since = dict(now.since)
    for track, counted in before.since.items():
        if now.since[track][2] < counted[2]:
            log.warning(
                "%s: %.0f labelled answers, after %.0f a look ago: some are gone, and no new ones are counted until then",
                track.value,
                now.since[track][2],
                counted[2],
            )
            since[track] = counted
    # What arrives for answers from before the release is no news of these minutes: the level stays as it was first counted.
    return Labelled(before.before, since)
