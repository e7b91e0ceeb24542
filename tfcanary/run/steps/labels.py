"""Labels that arrive during the watch: read again and again from where the plan says, and given to the judge as counters."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tfcanary.act import ledger
from tfcanary.core.domain import COMPARED, Track
from tfcanary.core.plan import LabelledPlan, Plan
from tfcanary.core.ports import Platform
from tfcanary.look.evaluate.labelled import LabelCounts, LabelledSource, Quality
from tfcanary.run.steps.model_files import Copies
from tfcanary.run.steps.recorded_answers import EVERYTHING, read_answers


def with_labels(platform: Platform, plan: Plan, threads: Executor | None = None) -> Platform:
    """Return the platform with labelled quality among its metrics, where the plan has both `labelled` and `judge.quality`.

    Without one of them the platform is returned unchanged. Labels are counted by `threads`, by default one thread of its own.
    """
    if plan.labelled is None or plan.judge.quality is None:
        return platform
    time = plan.drift.time if plan.drift else ""
    count = _LabelCount(platform, plan.labelled, time)
    return replace(platform, metrics=LabelledSource(platform.metrics, count, threads or ThreadPoolExecutor(1, thread_name_prefix="labels")))


@dataclass(slots=True)
class _LabelCount:
    """Counts right and wrong answers from all labels at each call; from a bucket only new files are copied."""

    platform: Platform
    plan: LabelledPlan
    time: str
    """The column of the time, as in `drift.time`."""
    copies: Copies = field(default_factory=Copies)
    before: Quality | None = None
    """Stable's quality before the release, counted at the first call."""

    def __call__(self) -> LabelCounts:
        from tfcanary.look.evaluate import quality

        now = self.platform.clock.now()
        release = ledger.read(self.platform).release
        began = (release.first_traffic or now) if release else now
        labels = quality.read_labels(self.copies.fetch(self.plan.labels))
        if self.before is None:
            # Without times nothing can be told apart from this release, so nothing counts as earlier.
            earlier = () if self.time == EVERYTHING else self._answers(Track.STABLE, began - self.plan.history, began)
            self.before = quality.count(earlier, labels).quality
        since = {track: quality.count(self._answers(track, began, now), labels).quality for track in COMPARED}
        return LabelCounts(self.before, since)

    def _answers(self, track: Track, since: datetime, until: datetime) -> Iterator[Any]:
        return read_answers(self.platform, self.plan.source, track, (since, until), self.time, self.copies.fetch)
