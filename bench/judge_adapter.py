"""Our judge for harnesses that replay samples: `make()` returns a fresh judge, which is calibrated once and then called at every poll.

The adapter only translates. A sample may have `servers`, a mapping of names to the same fields for one server each; these are passed on
then. A sample without it is passed on as one server, so that a decrease is taken for a restart of that server.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tfcanary.core.domain import Counters, Decision, Sample, Track
from tfcanary.core.plan import ClassesPlan, JudgePlan, QualityPlan
from tfcanary.decide.judge import Judge, Poll

PLAN = JudgePlan(alpha=0.05, quality=QualityPlan(), classes=ClassesPlan())
"""The defaults with every criterion. alpha is a release's whole 5 %, of which the default leaves a part to drift."""
ANSWERS = {Decision.PROMOTE: "promote", Decision.ROLLBACK: "rollback"}


class JudgeAdapter:
    """A judge of one release for the replay protocol."""

    def __init__(self, plan: JudgePlan = PLAN) -> None:
        self._plan = plan
        self._judge: Judge | None = None

    def calibrate(self, history: Iterable[tuple[float, Any, Any]]) -> None:
        """Take two hours of stable: (seconds, all other servers, one server)."""
        self._judge = Judge.begin(self._plan, "replay", [(t, history_sample(rest, pod)) for t, rest, pod in history])

    def update(self, t: float, baseline: Any, canary: Any) -> str:
        """Return the answer after a poll: continue, promote or rollback."""
        if self._judge is None:
            self.calibrate(())
        assert self._judge
        poll = Poll(t, sample_of(Track.STABLE, baseline), sample_of(Track.CANARY, canary), _weight(canary.share))
        return ANSWERS.get(self._judge.decide(poll), "continue")


def make() -> JudgeAdapter:
    """Return a fresh judge with default settings."""
    return JudgeAdapter()


def history_sample(rest: Any, pod: Any) -> Sample:
    """Return one sample of stable from all other servers and one server, under different names even where both name them alike."""
    up = bool(rest.up and pod.up)
    parts = (("one", pod), ("others", rest))
    servers = {f"{part}/{name}".rstrip("/"): counters for part, sample in parts for name, counters in _servers(sample).items()}
    return Sample(Track.STABLE, up, servers if up else {})


def sample_of(track: Track, sample: Any) -> Sample:
    """Return the sample of a track, server by server where it names them."""
    up = bool(sample.up)
    return Sample(track, up, {f"{track}-{name or 0}": counters for name, counters in _servers(sample).items()} if up else {})


def _servers(sample: Any) -> dict[str, Counters]:
    """Return the counters of each server of a sample: those that it names, else all of it as one server without a name."""
    named = getattr(sample, "servers", None)
    return {str(name): _counters(one) for name, one in named.items()} if named else {"": _counters(sample)}


def _counters(sample: Any) -> Counters:
    """Return the counters of a sample.

    What a harness does not export it gives as None or NaN; the judge takes either as not exported. `lat_sum`, the sum of the
    latencies in the unit of the histogram's bounds, may be left out altogether: then means are not compared.
    """
    quality = (sample.q_sum, sample.q_sumsq, sample.q_count)
    return Counters(
        ok=float(sample.ok),
        errors={"failed": float(sample.err)},
        latency=_floats(sample.lat),
        quality=None if any(value is None for value in quality) else (float(quality[0]), float(quality[1]), float(quality[2])),
        classes=_floats(sample.pred),
        latency_sum=getattr(sample, "lat_sum", None),
    )


def _floats(values: Any) -> tuple[float, ...]:
    return () if values is None else tuple(map(float, values))


def _weight(share: float) -> int | None:
    """Return the weight in whole percent, as routers know it; None where it is unknown."""
    return round(100 * share) if share is not None and math.isfinite(share) else None
