"""Who is judged: each a maker of fresh judges for the replay protocol of bench/judge_adapter.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from bench import judge_adapter
from bench.judge.rivals import argo, flagger, kayenta, textbook
from bench.judge.traffic import Sample


class Contestant(Protocol):
    """A judge of one watch."""

    def calibrate(self, history: Iterable[tuple[float, Sample, Sample]]) -> None:
        """Once, before the first poll: (seconds, all other stable servers, one of them)."""

    def update(self, t: float, baseline: Sample, canary: Sample) -> str:
        """continue, promote or rollback."""


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    key: str
    title: str
    make: Callable[[], Contestant]


OURS = Entry("tfcanary", "**tfcanary**", judge_adapter.make)
RIVALS = (
    Entry("flagger", "Flagger's rule, documented limits", flagger.documented),
    Entry("flagger-tuned", "Flagger's rule, limits tuned from history", flagger.with_tuned_limits),
    Entry("argo", "Argo Rollouts' rule, documented limits", argo.documented),
    Entry("argo-tuned", "Argo Rollouts' rule, limits tuned from history", argo.with_tuned_limits),
    Entry("kayenta", "Kayenta's judge", kayenta.make),
    Entry("repeated-z", "z test at every poll", textbook.repeated),
    Entry("group-sequential", "z test at six looks, O'Brien-Fleming", textbook.group_sequential),
)
ENTRIES = {entry.key: entry for entry in (*RIVALS, OURS)}
