"""A judge without statistics, in place of the real one: what is explored is who acts when, not how sure anybody is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfcanary.core.domain import Decision, Evidence, Finding, Interval, Sample, Verdict
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import Poll

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
    def resume(cls, text: str, run_id: str, plan: JudgePlan) -> PlainJudge:
        return cls(int(text))

    def dumps(self) -> str:
        return str(self.polls)

    def poll(self, seen: Poll) -> Verdict:
        if not (seen.stable.up and seen.canary.up):
            return Verdict(Decision.HOLD, "nothing is seen")
        if any(one.failed for one in seen.canary.servers.values()) and seen.weight:
            evidence: Any = (Evidence("errors", Finding.FAIL, "the canary fails", interval=Interval(1.0, 1.0, 1.0)),)
            return Verdict(Decision.ROLLBACK, "the canary fails", evidence)
        self.polls += bool(seen.weight)
        evidence = (Evidence("errors", Finding.PASS, "no error", interval=Interval(0.0, 0.0, 0.0)),)
        return Verdict(Decision.PROMOTE if self.polls >= ENOUGH else Decision.HOLD, "no error", evidence)
