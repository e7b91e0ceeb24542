"""Look, decide, and on a rollback decision act at once: the one loop, for the step and for the guard.

Whoever holds the release runs `watch`: the step during a stage; otherwise the guard, with the same function and the
same judge state. Only `watch_stage` may raise a weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from tfcanary.acts import checkpoint, ledger, rollback, shift
from tfcanary.acts.checkpoint import Checkpoint
from tfcanary.domain import Decision, Sample, Track, Verdict
from tfcanary.errors import Conflict, Held, Unavailable
from tfcanary.judge import Judge, Poll, stages
from tfcanary.ports import Platform
from tfcanary.record import Release, State
from tfcanary.report import Timeline, timeline

Turn = Callable[[], Release | None]
"""Renews the right to watch and returns the release; None: somebody else watches now."""
Until = Callable[[Release, Verdict, Timeline], Verdict | None]
"""Whether this watch ends, and how; None: go on polling."""


def watch(platform: Platform, turn: Turn, until: Until) -> Verdict | None:
    """Poll until the judge says rollback (then the weight is 0 when this returns), `until` ends it, or the turn is over (None)."""
    while (release := turn()) is not None:
        polled = platform.clock.now()
        state = checkpoint.load(platform, release) or _fresh(platform, release)
        verdict, state = look(platform, release, state, polled)
        if verdict.decision is Decision.ROLLBACK:
            shift.trip(platform, release.run_id, verdict.reason)
        checkpoint.save(platform, release, state)
        ended = until(release, verdict, state.timeline)
        if verdict.decision is Decision.ROLLBACK or ended is not None:
            return ended or verdict
        spent = (platform.clock.now() - polled).total_seconds()
        platform.clock.sleep(max(release.plan.stage.poll.total_seconds() - spent, 0.0))
    return None


def look(platform: Platform, release: Release, state: Checkpoint, now: datetime) -> tuple[Verdict, Checkpoint]:
    """One poll: both tracks sampled, the judge asked. A metric source that cannot be asked hides both tracks and blames neither."""
    judge = Judge.resume(state.judge, release.run_id, release.plan.judge)
    stable, canary = (_sample(platform, track, now) for track in (Track.STABLE, Track.CANARY))
    began = release.first_traffic or now
    verdict = judge.poll(Poll(t=(now - began).total_seconds(), stable=stable, canary=canary, weight=_weight(platform)))
    verdict = replace(verdict, stage=max(release.stage, 0), weight=release.weight, at=now)
    seen = timeline.extend(state.timeline, now, release.weight, stable, canary, verdict)
    return verdict, Checkpoint(judge=judge.dumps(), timeline=seen)


def _sample(platform: Platform, track: Track, now: datetime) -> Sample:
    try:
        return platform.metrics.sample(track, now)
    except Unavailable:
        return Sample(track=track, up=False)


def _weight(platform: Platform) -> int | None:
    try:
        return platform.router.split().canary
    except Unavailable:
        return None


def _fresh(platform: Platform, release: Release) -> Checkpoint:
    history = platform.metrics.history(Track.STABLE, platform.clock.now())
    judge = Judge.begin(release.plan.judge, release.run_id, history)
    return Checkpoint(judge=judge.dumps(), timeline=Timeline())


def watch_stage(platform: Platform, run_id: str, stage: int) -> Verdict:
    """Set the stage's weight and watch until it is decided; a stage that was watched already returns what was recorded.

    Raises Held where the release was taken away or ended, Refused where the weight may not rise.
    """
    release = ledger.ours(ledger.read(platform), run_id)
    if recorded := ledger.of_stage(release.watched, stage):
        return recorded
    name = f"watch stage {stage}"
    ledger.hold(platform, run_id, name, watching=True)
    shift.shift(platform, run_id, stage)
    verdict = watch(platform, lambda: ledger.hold(platform, run_id, name, watching=True), _stage_ends(stage))
    assert verdict is not None, "a step's turn ends by Held only"
    return _recorded(platform, run_id, replace(verdict, stage=stage))


def _stage_ends(stage: int) -> Until:
    def ends(release: Release, verdict: Verdict, seen: Timeline) -> Verdict | None:
        began = release.stage_began or release.began
        watched = (verdict.at or began) - began
        return stages.conclude(verdict, release.plan, stage, watched, timeline.canary_requests_since(seen, began))

    return ends


def _recorded(platform: Platform, run_id: str, verdict: Verdict) -> Verdict:
    """Write down how the stage ended and hand the release over to the next step, in one write."""
    if verdict.decision is Decision.ROLLBACK:
        shift.trip(platform, run_id, verdict.reason)
    now = platform.clock.now()

    def done(release: Release) -> Release:
        handed = release.held(f"{run_id}: after stage {verdict.stage}", now, release.plan.deploy.handover, False)
        watched = replace(handed, watched=ledger.put_verdict(release.watched, verdict))
        return watched.happened(now, f"stage {verdict.stage}: {verdict.decision.value}: {verdict.reason}")

    ledger.change(platform, run_id, done)
    return verdict


def stand_guard(platform: Platform, run_id: str) -> Release:
    """Watch whenever no step does, until the release has ended; roll back when the holder's time runs out. Lowers weights only."""
    while True:
        release = ledger.heartbeat(platform, run_id)
        if release.state.ended:
            return release
        now = platform.clock.now()
        if _abandoned(release, now):
            rollback.roll_back(platform, run_id, _abandoned_reason(release))
        elif _unwatched(release):
            _watch_between_steps(platform, run_id)
        else:
            platform.clock.sleep(release.plan.stage.poll.total_seconds())


def _abandoned(release: Release, now: datetime) -> bool:
    return release.holder is None or release.holder.until <= now


def _abandoned_reason(release: Release) -> str:
    holder = f"{release.holder.name!r}, whose time ran out at {release.holder.until:%H:%M:%S}" if release.holder else "nobody"
    return release.reason or f"the canary was left alone: last held by {holder}"


def _unwatched(release: Release) -> bool:
    """There is, or was, traffic on the canary, and no step is polling."""
    between = release.holder is not None and not release.holder.watching
    return between and release.state is State.WATCHED and release.weight > 0


def _watch_between_steps(platform: Platform, run_id: str) -> None:
    """The same loop under the guard's turn; a step that takes the release over wins every race."""

    def turn() -> Release | None:
        release = ledger.heartbeat(platform, run_id)
        return release if _unwatched(release) and not _abandoned(release, platform.clock.now()) else None

    try:
        watch(platform, turn, lambda release, verdict, seen: None)
    except (Conflict, Held):
        return
