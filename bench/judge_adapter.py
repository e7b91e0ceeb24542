"""Our judge for harnesses that replay samples: `make()` gives a fresh one, which is calibrated once and then asked at every poll.

It only translates. A harness counts a track as one: the counters of all its servers together are handed on as those of
one server, so that a fall of them is taken as a restart of that server.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tfcanary.core.domain import Counters, Decision, Sample, Track
from tfcanary.core.plan import ClassesPlan, JudgePlan, QualityPlan
from tfcanary.decide.judge import Judge, Poll

PLAN = JudgePlan(alpha=0.05, quality=QualityPlan(), classes=ClassesPlan())
"""The defaults with every criterion asked for; alpha is a release's whole 5 %, of which the default leaves a part to drift."""
WORDS = {Decision.PROMOTE: "promote", Decision.ROLLBACK: "rollback"}


class Adapted:
    """One release, judged."""

    def __init__(self, plan: JudgePlan = PLAN) -> None:
        self._plan = plan
        self._judge: Judge | None = None

    def calibrate(self, history: Iterable[tuple[float, Any, Any]]) -> None:
        """Two hours of stable: (seconds, all other servers, one server)."""
        self._judge = Judge.begin(self._plan, "replay", [(t, _both(rest, pod)) for t, rest, pod in history])

    def update(self, t: float, baseline: Any, canary: Any) -> str:
        """The word after a poll: continue, promote or rollback."""
        if self._judge is None:
            self.calibrate(())
        assert self._judge
        poll = Poll(t, _sample(Track.STABLE, baseline), _sample(Track.CANARY, canary), _weight(canary.share))
        return WORDS.get(self._judge.decide(poll), "continue")


def make() -> Adapted:
    """A fresh judge with default settings."""
    return Adapted()


def _both(rest: Any, pod: Any) -> Sample:
    up = bool(rest.up and pod.up)
    return Sample(Track.STABLE, up, {"one": _counters(pod), "others": _counters(rest)} if up else {})


def _sample(track: Track, seen: Any) -> Sample:
    up = bool(seen.up)
    return Sample(track, up, {f"{track}-0": _counters(seen)} if up else {})


def _counters(seen: Any) -> Counters:
    """What a harness does not export it leaves out or gives as NaN; the judge takes either as not exported."""
    quality = (seen.q_sum, seen.q_sumsq, seen.q_count)
    return Counters(
        ok=float(seen.ok),
        errors={"failed": float(seen.err)},
        latency=_floats(seen.lat),
        quality=None if any(value is None for value in quality) else (float(quality[0]), float(quality[1]), float(quality[2])),
        classes=_floats(seen.pred),
    )


def _floats(values: Any) -> tuple[float, ...]:
    return () if values is None else tuple(map(float, values))


def _weight(share: float) -> int | None:
    """In whole percent, as routers know it; None where it is unknown."""
    return round(100 * share) if share is not None and math.isfinite(share) else None
