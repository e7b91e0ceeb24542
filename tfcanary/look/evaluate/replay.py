"""Replays polls to the judge: those of a recorded release, or those from the history of a metric source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tfcanary.core.domain import COMPARED, Decision, Sample, Track, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.ports import MetricSource
from tfcanary.core.timeline import Timeline, extend
from tfcanary.decide.judge import Judge, Poll

HISTORY = timedelta(hours=2)
"""The span of a source's `history`; a longer span is read in pieces of this length."""
LONGEST = timedelta(days=7)
"""Longest span of a replay, which is the longest time of a stage."""
WATCH_PREFIX = "watch/"
"""First characters of the names of the watch's own evidence, which the judge does not make: a changed split, servers that are down."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The verdicts of a replay, one for each poll."""

    verdicts: tuple[Verdict, ...]
    """The verdicts with the times of their polls; `stage` is the number of times that the weight has risen."""
    timeline: Timeline

    @property
    def last(self) -> Verdict:
        """The verdict of the last poll."""
        return self.verdicts[-1]

    def by_minute(self) -> tuple[Verdict, ...]:
        """The first verdict, the last one of each minute, and each one whose decision differs from the decision before it."""
        verdicts = self.verdicts
        ends = {_minute(verdicts[0], verdict): i for i, verdict in enumerate(verdicts)}
        changes = {i for i in range(1, len(verdicts)) if verdicts[i].decision is not verdicts[i - 1].decision}
        return tuple(verdicts[i] for i in sorted({0, *ends.values(), *changes}))


def _minute(first: Verdict, verdict: Verdict) -> int:
    assert first.at
    assert verdict.at
    return int((verdict.at - first.at).total_seconds() // 60)


def replay(judge: Judge, polls: Iterable[tuple[datetime, Poll]]) -> Replay:
    """Give the polls to the judge until the last one or a rollback. Raises Refused where there is no poll."""
    judged = tuple(_judge_polls(judge, polls))
    if not judged:
        raise Refused("replay: there is no poll to judge")
    timeline = Timeline()
    for poll, verdict in judged:
        timeline = extend(timeline, poll.stable, poll.canary, verdict, poll.baseline)
    return Replay(tuple(verdict for _, verdict in judged), timeline)


def _judge_polls(judge: Judge, polls: Iterable[tuple[datetime, Poll]]) -> Iterator[tuple[Poll, Verdict]]:
    stage, weight = 0, None
    for at, poll in polls:
        if poll.weight is not None:
            stage += weight is not None and poll.weight > weight
            weight = poll.weight
        verdict = replace(judge.poll(poll), at=at, stage=stage)
        yield poll, verdict
        if verdict.decision is Decision.ROLLBACK:
            return


def agrees_with_live(verdict: Verdict, live: Verdict) -> bool:
    """Whether a verdict of a replay equals the judge's part of the live verdict bit by bit.

    The decisions may differ where the live verdict has evidence of the watch.
    """
    evidence = tuple(one for one in live.evidence if not one.about.startswith(WATCH_PREFIX))
    from_watch = len(evidence) < len(live.evidence)
    same_decision = (verdict.decision, verdict.reason) == (live.decision, live.reason)
    return (verdict.evidence, verdict.absent) == (evidence, live.absent) and (from_watch or same_decision)


def history_polls(source: MetricSource, begin: datetime, end: datetime, weight: int | None) -> tuple[tuple[datetime, Poll], ...]:
    """The polls of a span of time, from the history of a metric source; the first one is the first with the canary up.

    `weight` is the canary's share in percent where it was constant; a source does not keep it. Raises Refused where the span is
    empty or too long, or the canary was never up in it.
    """
    if not timedelta(0) < end - begin <= LONGEST:
        raise Refused(f"replay from {begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}: must be a span of at most {LONGEST.days} days")
    tracks = {track: _samples(source, track, begin, end) for track in COMPARED}
    first = min((t for t, sample in tracks[Track.CANARY].items() if sample.up), default=None)
    if first is None:
        raise Refused(
            f"replay: no server of the canary is counted from {begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}: "
            "check its selector, and the warnings about its series"
        )
    instants = sorted(t for t in {*tracks[Track.STABLE], *tracks[Track.CANARY]} if t >= first)
    return tuple((datetime.fromtimestamp(t, UTC), _poll(t - first, weight, [tracks[track].get(t) for track in COMPARED])) for t in instants)


def _poll(t: float, weight: int | None, samples: Sequence[Sample | None]) -> Poll:
    stable, canary = (sample or Sample(track, up=False) for track, sample in zip(COMPARED, samples, strict=True))
    return Poll(t=t, stable=stable, canary=canary, weight=weight)


def _samples(source: MetricSource, track: Track, begin: datetime, end: datetime) -> dict[float, Sample]:
    samples: dict[float, Sample] = {}
    at = end.replace(microsecond=0)
    while at > begin:
        samples |= {(at - HISTORY).timestamp() + seconds: sample for seconds, sample in source.history(track, at)}
        at -= HISTORY
    return {t: sample for t, sample in samples.items() if t >= begin.timestamp()}
