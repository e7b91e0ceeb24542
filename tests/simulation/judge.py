"""A judge without statistics, in place of the real one: what is explored is who acts when, not how sure anybody is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tfcanary.core.domain import Decision, Evidence, Finding, Interval, Sample, Verdict
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import Poll, Window
from tfcanary.decide.judge.counted_windows import TrackCounts

NOTHING = Window(0.0, 0.0, None, True, True, True, TrackCounts(), TrackCounts())
ENOUGH = 3
"""Polls with traffic after which a healthy canary may be promoted."""


@dataclass
class PlainJudge:
    """Counts polls; an error of the canary convicts it."""

    polls: int = 0

    @classmethod
    def begin(cls, plan: JudgePlan, run_id: str, history: Iterator[tuple[float, Sample]]) -> PlainJudge:
        return cls()

    @classmethod
    def resume(cls, text: str, run_id: str, plan: JudgePlan, beside: Sequence[Window]) -> PlainJudge:
        assert int(text) == len(beside), f"{text} polls with traffic, and {len(beside)} windows are there"
        return cls(len(beside))

    def dumps(self, beside: int = 0) -> str:
        return str(beside)

    def windows(self, since: int = 0) -> tuple[Window, ...]:
        """One for each poll with traffic, so that a window that gets lost is found out."""
        return (NOTHING,) * (self.polls - since)

    def poll(self, seen: Poll) -> Verdict:
        if not (seen.stable.up and seen.canary.up):
            return Verdict(Decision.HOLD, "nothing is seen")
        if any(one.failed for one in seen.canary.servers.values()) and seen.weight:
            evidence: Any = (Evidence("errors", Finding.FAIL, "the canary fails", interval=Interval(1.0, 1.0, 1.0)),)
            return Verdict(Decision.ROLLBACK, "the canary fails", evidence)
        self.polls += bool(seen.weight)
        evidence = (Evidence("errors", Finding.PASS, "no error", interval=Interval(0.0, 0.0, 0.0)),)
        return Verdict(Decision.PROMOTE if self.polls >= ENOUGH else Decision.HOLD, "no error", evidence)
