"""Labels that arrive during the watch: read again and again, from wherever the plan says, and handed to the judge as counters."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tfcanary.act import ledger
from tfcanary.core.domain import Track
from tfcanary.core.plan import LabelledPlan, Plan
from tfcanary.core.ports import Platform
from tfcanary.look.evaluate.labelled import LabelCounts, LabelledSource, Quality
from tfcanary.run.steps.model_files import Copies
from tfcanary.run.steps.recorded_answers import EVERYTHING, answered


def with_labels(platform: Platform, plan: Plan, threads: Executor | None = None) -> Platform:
    """The platform, its metrics with labelled quality where the plan asks for both `labelled` and `judge.quality`."""
    if plan.labelled is None or plan.judge.quality is None:
        return platform
    time = plan.drift.time if plan.drift else ""
    count = _Count(platform, plan.labelled, time)
    return replace(platform, metrics=LabelledSource(platform.metrics, count, threads or ThreadPoolExecutor(1, thread_name_prefix="labels")))


@dataclass(slots=True)
class _Count:
    """One look at all labels and answers; of a bucket only what is new is copied."""

    platform: Platform
    plan: LabelledPlan
    time: str
    """The column of the time, as in `drift.time`."""
    copies: Copies = field(default_factory=Copies)
    before: Quality | None = None
    """Counted once."""

    def __call__(self) -> LabelCounts:
        from tfcanary.look.evaluate import quality

        now = self.platform.clock.now()
        release = ledger.read(self.platform).release
        began = (release.first_traffic or now) if release else now
        labels = quality.read_labels(self.copies.fetch(self.plan.labels))
        if self.before is None:
            # Without times, what lies there is all of this release.
            earlier = () if self.time == EVERYTHING else self._answered(Track.STABLE, began - self.plan.history, began)
            self.before = quality.count(earlier, labels).quality
        since = {track: quality.count(self._answered(track, began, now), labels).quality for track in Track}
        return LabelCounts(self.before, since)

    def _answered(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        return answered(self.platform, self.plan.source, track, (since, until), self.time, self.copies.fetch)
