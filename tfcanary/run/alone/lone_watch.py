"""One watch of the judge alone: samples in, an opinion out. Somebody else's controller moves the traffic.

The judge, the rule that ends a stage and the reading of counters are those of a release of tfcanary, so the same counts give the same
verdict. The plan's stages are not walked through: the whole watch is its last stage, and the weight is whatever the controller set.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tfcanary.act.tape import Tape
from tfcanary.core import timeline
from tfcanary.core.domain import COMPARED, UNDECIDED, Decision, Evidence, Finding, Track, Verdict
from tfcanary.core.durations import written
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import OnUndecided, Plan
from tfcanary.core.ports import Clock, MetricSource
from tfcanary.core.timeline import Timeline
from tfcanary.decide.judge import Judge, Poll, stages
from tfcanary.look.evaluate import metrics
from tfcanary.run.alone.saved_watches import SCHEMA, SavedWatch, SavedWatches

log = logging.getLogger("tfcanary.judge")


class Answer(StrEnum):
    """What a controller is told."""

    PROMOTE = "promote"
    """No criterion is worse than its margin, and the least time is over."""
    ROLLBACK = "rollback"
    """The canary is worse than tolerated. It is final."""
    UNDECIDED = "undecided"
    """The time is over and nobody could tell. It is final, and never a success."""
    HOLD = "hold"
    """Go on, and ask again."""


FINAL = (Answer.ROLLBACK, Answer.UNDECIDED)
"""The answers that no later poll changes."""


class Split(Protocol):
    """Knows which share of the requests the canary gets."""

    def weight(self) -> int | None:
        """The canary's share in percent now; None where it is unknown, also where nobody can be asked."""


@dataclass(frozen=True, slots=True)
class FixedSplit:
    """A share that somebody names and that does not change."""

    percent: int | None = None

    def weight(self) -> int | None:
        """Return the share in percent; None where nobody named it."""
        return self.percent


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged, and by which plan."""

    model: str
    """The name under which TensorFlow Serving serves the model."""
    plan: Plan
    source: MetricSource
    split: Split = field(default_factory=FixedSplit)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the judge says after a poll."""

    verdict: Verdict
    """The judge's verdict; its decision is rollback where the answer is undecided, as at the end of a stage of a release."""
    requests: float = 0.0
    """The canary's requests since the first poll at which it was counted."""
    blind: bool = False
    """Whether the last poll did not see the counters of both tracks: then no weight should rise."""
    ended: bool = False
    """Whether the verdict ends the watch; a watch that was to promote may go on, and change its mind."""

    @property
    def answer(self) -> Answer:
        """What a controller is told."""
        if not self.ended:
            return Answer.HOLD
        if self.verdict.decision is Decision.PROMOTE:
            return Answer.PROMOTE
        return Answer.UNDECIDED if self.verdict.undecided else Answer.ROLLBACK


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered between two polls."""

    judge: Judge
    began: datetime
    seen: Timeline
    opinion: Opinion | None = None
    trace: Tape = field(default_factory=Tape)
    traced: int = 0
    """Number of the judge's windows that lie on the trace."""


class LoneWatch:
    """Watches one release of somebody else's. With `kept` its state is written at each poll, and another process goes on from there.

    A state whose last poll is longer ago than `judge.guards.blind_after` is not continued: nobody knows what happened meanwhile.
    """

    def __init__(self, subject: Subject, release: str, clock: Clock, kept: SavedWatches | None = None) -> None:
        self.release = release
        self._subject = subject
        # A plan that promotes undecided releases would make a success of "nobody can tell".
        self._plan = replace(subject.plan, stage=replace(subject.plan.stage, on_undecided=OnUndecided.ROLLBACK))
        self._clock = clock
        self._kept = kept
        self._opened: datetime | None = None
        self._memory: _Memory | None = None

    def poll(self) -> Opinion:
        """Look once, and return what the judge says then. A final answer stays.

        Raises Refused where the source refuses the queries or the state is another plan's, Conflict where another process judges this release.
        """
        now = self._clock.now()
        memory = self._recalled(now)
        if memory and memory.opinion and memory.opinion.answer in FINAL:
            return memory.opinion
        found = metrics.samples(self._subject.source, self._subject.model, COMPARED, now)
        if memory is None:
            if not found[Track.CANARY].up:
                return self._waiting(now)
            history = metrics.history(self._subject.source, self._subject.model, now)
            memory = _Memory(Judge.begin(self._plan.judge, self.release, history), now, Timeline())
        t = (now - memory.began).total_seconds()
        poll = Poll(t, found[Track.STABLE], found[Track.CANARY], self._subject.split.weight())
        self._memory = self._saved(self._judged(memory, poll, now))
        assert self._memory.opinion
        return self._memory.opinion

    def last(self) -> Opinion | None:
        """Return the opinion after the last poll, by this process or by one before it; None before the first poll."""
        memory = self._recalled(self._clock.now())
        return memory.opinion if memory else None

    def _recalled(self, now: datetime) -> _Memory | None:
        if self._opened is None:
            self._memory = self._read(now)
            self._opened = now
        return self._memory

    def _read(self, now: datetime) -> _Memory | None:
        found = self._kept.read(self.release) if self._kept else None
        if found is None:
            return None
        saved, windows = found
        if now - saved.at > self._plan.judge.guards.blind_after:
            log.warning("release %s: the last poll was at %s, which is too long ago: a new watch begins", self.release, saved.at)
            return None
        judge = Judge.resume(saved.judge, self.release, self._plan.judge, windows)
        opinion = Opinion(saved.verdict, saved.requests, saved.timeline.blind_since is not None, saved.ended)
        return _Memory(judge, saved.began, saved.timeline, opinion, saved.trace, len(windows))

    def _waiting(self, now: datetime) -> Opinion:
        """Return the opinion while the canary was never counted: time passes, and nothing is held against it."""
        assert self._opened
        verdict = Verdict(Decision.HOLD, "the canary is not counted yet: no server of it, or a selector that selects nothing", at=now)
        if now - self._opened < self._plan.stage.maximum:
            return Opinion(verdict, blind=True)
        return Opinion(
            _undecided(verdict, f"the canary was never counted within {written(self._plan.stage.maximum)}"), blind=True, ended=True
        )

    def _judged(self, memory: _Memory, poll: Poll, now: datetime) -> _Memory:
        verdict = replace(memory.judge.poll(poll), at=now)
        seen = timeline.outline(timeline.extend(memory.seen, poll.stable, poll.canary, verdict))
        requests = timeline.canary_requests_since(seen, memory.began)
        ended = self._ending(verdict, memory.began, seen, now, requests)
        opinion = Opinion(ended or verdict, requests, seen.blind_since is not None, ended is not None)
        return replace(memory, seen=seen, opinion=opinion)

    def _ending(self, verdict: Verdict, began: datetime, seen: Timeline, now: datetime, requests: float) -> Verdict | None:
        """Return the verdict that ends the watch, or None where it goes on: the rule of a release's last stage."""
        blind, limit = timeline.blind_for(seen, now), self._plan.judge.guards.blind_after
        watched = now - began - timeline.blind_time_since(seen, began)
        ended = stages.conclude_stage(verdict, self._plan, len(self._plan.weights) - 1, watched, requests, blind)
        if ended is not None:
            return replace(ended, stage=verdict.stage, weight=verdict.weight)
        return (
            _undecided(verdict, f"the counters of both tracks were last seen {blind.total_seconds():.0f} s ago") if blind >= limit else None
        )

    def _saved(self, memory: _Memory) -> _Memory:
        """Return the memory after its state was written; a storage that is away for a poll stops no watch."""
        if self._kept is None:
            return memory
        opinion = memory.opinion
        assert opinion
        assert opinion.verdict.at
        windows = memory.judge.windows(memory.traced)
        traced = memory.traced + len(windows)
        try:
            trace = self._kept.traced(self.release, memory.trace, windows)
            saved = SavedWatch(
                schema=SCHEMA,
                at=opinion.verdict.at,
                began=memory.began,
                judge=memory.judge.dumps(traced),
                timeline=memory.seen,
                verdict=opinion.verdict,
                requests=opinion.requests,
                ended=opinion.ended,
                trace=trace,
            )
            self._kept.write(self.release, saved)
        except Unavailable as error:
            log.warning("release %s: the state is not written at this poll: %s", self.release, error)
            return memory
        return replace(memory, trace=trace, traced=traced)


def _undecided(verdict: Verdict, reason: str) -> Verdict:
    evidence = Evidence(UNDECIDED, Finding.INCONCLUSIVE, f"undecided: {reason}")
    return replace(verdict, decision=Decision.ROLLBACK, reason=evidence.reason, evidence=(evidence, *verdict.evidence))
