"""What the judge would have said: the same polls again, from a tape or from a metric source that remembers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tfcanary.core.domain import Decision, Sample, Track, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.ports import MetricSource
from tfcanary.core.timeline import Timeline, extend
from tfcanary.decide.judge import Judge, Poll

HISTORY = timedelta(hours=2)
"""How far back a source's `history` goes: longer spans are asked for in such pieces."""
LONGEST = timedelta(days=7)
"""The longest that a stage may last."""
ALARM = "watch/"
"""How evidence begins that is the watcher's, not the judge's: a split that somebody changed, servers that are down."""


@dataclass(frozen=True, slots=True)
class Replay:
    """All that was said, poll by poll."""

    verdicts: tuple[Verdict, ...]
    """Each with its instant; `stage` counts how often the weight has risen."""
    timeline: Timeline

    @property
    def last(self) -> Verdict:
        """The last word."""
        return self.verdicts[-1]

    def by_minute(self) -> tuple[Verdict, ...]:
        """The last word of each minute, and each word that differs from the one before."""
        told = self.verdicts
        ends = {_minute(told[0], verdict): i for i, verdict in enumerate(told)}
        turns = {i for i in range(1, len(told)) if told[i].decision is not told[i - 1].decision}
        return tuple(told[i] for i in sorted({0, *ends.values(), *turns}))


def _minute(first: Verdict, verdict: Verdict) -> int:
    assert first.at
    assert verdict.at
    return int((verdict.at - first.at).total_seconds() // 60)


def replay(judge: Judge, polls: Iterable[tuple[datetime, Poll]]) -> Replay:
    """Hand the polls to the judge; a rollback ends it. Raises Refused where there is no poll."""
    said = tuple(_said(judge, polls))
    if not said:
        raise Refused("replay: there is no poll to judge")
    seen = Timeline()
    for poll, verdict in said:
        seen = extend(seen, poll.stable, poll.canary, verdict)
    return Replay(tuple(verdict for _, verdict in said), seen)


def _said(judge: Judge, polls: Iterable[tuple[datetime, Poll]]) -> Iterator[tuple[Poll, Verdict]]:
    stage, weight = 0, None
    for at, poll in polls:
        if poll.weight is not None:
            stage += weight is not None and poll.weight > weight
            weight = poll.weight
        verdict = replace(judge.poll(poll), at=at, stage=stage)
        yield poll, verdict
        if verdict.decision is Decision.ROLLBACK:
            return


def same(said: Verdict, live: Verdict) -> bool:
    """Whether the judge's part of the live verdict is this one, bit for bit."""
    evidence = tuple(one for one in live.evidence if not one.about.startswith(ALARM))
    alarmed = len(evidence) < len(live.evidence)
    word = (said.decision, said.reason) == (live.decision, live.reason)
    return (said.evidence, said.absent) == (evidence, live.absent) and (alarmed or word)


def remembered(source: MetricSource, begin: datetime, end: datetime, weight: int | None) -> tuple[tuple[datetime, Poll], ...]:
    """The polls of a span of time, from a source's memory; the first one is where the canary is first there.

    `weight`: the canary's share in percent, if it was the same throughout; a source does not know it. Raises Refused where
    the span is none, or the canary was not there in it.
    """
    if not timedelta(0) < end - begin <= LONGEST:
        raise Refused(f"replay from {begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}: must be a span of at most {LONGEST.days} days")
    tracks = {track: _samples(source, track, begin, end) for track in Track}
    born = min((t for t, sample in tracks[Track.CANARY].items() if sample.up), default=None)
    if born is None:
        raise Refused(
            f"replay: no server of the canary is counted from {begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}: "
            "check its selector, and the warnings about its series"
        )
    instants = sorted(t for t in {*tracks[Track.STABLE], *tracks[Track.CANARY]} if t >= born)
    return tuple((datetime.fromtimestamp(t, UTC), _poll(t - born, weight, [tracks[track].get(t) for track in Track])) for t in instants)


def _poll(t: float, weight: int | None, samples: Sequence[Sample | None]) -> Poll:
    stable, canary = (sample or Sample(track, up=False) for track, sample in zip(Track, samples, strict=True))
    return Poll(t=t, stable=stable, canary=canary, weight=weight)


def _samples(source: MetricSource, track: Track, begin: datetime, end: datetime) -> dict[float, Sample]:
    found: dict[float, Sample] = {}
    at = end.replace(microsecond=0)
    while at > begin:
        found |= {(at - HISTORY).timestamp() + seconds: sample for seconds, sample in source.history(track, at)}
        at -= HISTORY
    return {t: sample for t, sample in found.items() if t >= begin.timestamp()}
