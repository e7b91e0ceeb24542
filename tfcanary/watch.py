"""Look, decide, and on a rollback decision act at once: the one loop, for the step and for the guard.

Whoever holds the release runs `watch`: the step during a stage; otherwise the guard, with the same function and the
same judge state. Only `watch_stage` may raise a weight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tfcanary.acts import checkpoint, ledger, rollback, shift
from tfcanary.domain import Decision, Look, Track, Verdict
from tfcanary.errors import Conflict, Held, Unavailable
from tfcanary.evaluate import metrics
from tfcanary.judge import Judge, stages
from tfcanary.ports import Platform
from tfcanary.record import Judged, Release, State
from tfcanary.report import Timeline, timeline

log = logging.getLogger("tfcanary.watch")

Turn = Callable[[], Release | None]
"""Renews the right to watch and returns the release; None: the turn is over."""
Until = Callable[[Release, Verdict, Timeline], Verdict | None]
"""Whether this watch ends, and how; None: go on polling."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process remembers between two polls; `judged` is where the record says that it lies."""

    judge: Judge
    seen: Timeline
    judged: Judged | None


def watch(platform: Platform, turn: Turn, until: Until) -> Verdict | None:
    """Poll until the judge says rollback (then the weight is 0 when this returns), `until` ends it, or the turn is over (None)."""
    memory: Memory | None = None
    while (release := turn()) is not None:
        began = platform.clock.now()
        if memory is None or memory.judged != release.judged:
            memory = _recalled(platform, release)
        verdict, memory = _poll(platform, release, memory, began)
        if verdict.decision is Decision.ROLLBACK:
            shift.trip(platform, release.run_id, verdict.reason)
        memory = _saved(platform, release, memory, verdict)
        log.info("%s at %d %%: %s: %s", platform.model, release.weight, verdict.decision.value, verdict.reason)
        ended = verdict if verdict.decision is Decision.ROLLBACK else until(release, verdict, memory.seen)
        if ended is not None:
            return ended
        spent = (platform.clock.now() - began).total_seconds()
        platform.clock.sleep(max(release.plan.stage.poll.total_seconds() - spent, 0.0))
    return None


def _poll(platform: Platform, release: Release, memory: Memory, now: datetime) -> tuple[Verdict, Memory]:
    """Look and decide: both tracks sampled, the judge asked."""
    seen = metrics.poll(platform, release.first_traffic or now, now)
    verdict = replace(memory.judge.poll(seen), stage=max(release.stage, 0), weight=release.weight, at=now)
    return verdict, replace(memory, seen=timeline.extend(memory.seen, seen.stable, seen.canary, verdict))


def _recalled(platform: Platform, release: Release) -> Memory:
    """The state that the record names; a new judge before the first poll."""
    kept = checkpoint.load(platform, release)
    if kept is None:
        history = platform.metrics.history(Track.STABLE, platform.clock.now())
        return Memory(Judge.begin(release.plan.judge, release.run_id, history), Timeline(), None)
    return Memory(Judge.resume(kept.judge, release.run_id, release.plan.judge), kept.timeline, release.judged)


def _saved(platform: Platform, release: Release, memory: Memory, verdict: Verdict) -> Memory:
    state = checkpoint.Checkpoint(judge=memory.judge.dumps(), timeline=memory.seen, verdict=verdict)
    return replace(memory, judged=checkpoint.save(platform, release, state).judged)


def watch_stage(platform: Platform, run_id: str, stage: int) -> Verdict:
    """Set the stage's weight and watch until it is decided; a stage that was watched already returns what was recorded.

    A release that was rolled back meanwhile (by the guard, by a person) is a verdict of rollback. Raises Held or
    Refused where the weight may not rise.
    """
    release = ledger.ours(ledger.read(platform), run_id)
    if recorded := ledger.of_stage(release.watched, stage) or over(release, stage):
        return recorded
    name = f"watch stage {stage}"
    ledger.hold(platform, run_id, name, watching=True)
    shift.shift(platform, run_id, stage)

    def turn() -> Release | None:
        now = ledger.ours(ledger.read(platform), run_id)
        return ledger.hold(platform, run_id, name, watching=True) if now.state is State.WATCHED else None

    verdict = watch(platform, turn, _stage_ends(stage))
    return _recorded(platform, run_id, verdict) if verdict else watch_stage(platform, run_id, stage)


def over(release: Release, stage: int) -> Verdict | None:
    """The verdict of a release whose rollback has begun, whoever began it; None while it goes on."""
    if release.state not in (State.ROLLING_BACK, State.ROLLED_BACK, State.REFUSED):
        return None
    found = release.tripped or Verdict(decision=Decision.ROLLBACK, reason=release.reason)
    return replace(found, reason=release.reason or found.reason, stage=stage)


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


def judge_stage(platform: Platform, run_id: str, stage: int, watched: Verdict, drift: Look) -> Verdict:
    """The stage's verdict out of all that was found; a rollback takes the weight to 0 at once. A stage that was judged already keeps its verdict."""
    release = ledger.ours(ledger.read(platform), run_id)
    if recorded := ledger.of_stage(release.verdicts, stage):
        return recorded
    verdict = over(release, stage) or stages.combine(watched, drift, release.plan, stage)
    if verdict.decision is Decision.ROLLBACK:
        shift.trip(platform, run_id, verdict.reason)
    ledger.change(platform, run_id, lambda r: replace(r, verdicts=ledger.put_verdict(r.verdicts, verdict)))
    return verdict


def stand_guard(platform: Platform, run_id: str) -> Release:
    """Watch whenever no step does, until the release has ended; roll back when the holder's time runs out. Lowers weights only."""
    while True:
        try:
            release = _guarded(platform, run_id)
            if release.state.ended:
                return release
            platform.clock.sleep(release.plan.stage.poll.total_seconds())
        except Held:
            raise
        except (Unavailable, Conflict) as error:
            # A guard that gives up is no guard: it asks again until it is answered.
            log.warning("%s: %s", platform.model, error)
            platform.clock.sleep(1.0)


def _guarded(platform: Platform, run_id: str) -> Release:
    """One round of the guard."""
    release = ledger.heartbeat(platform, run_id)
    if release.state.ended:
        return release
    if _abandoned(release, platform.clock.now()):
        return rollback.roll_back(platform, run_id, _abandoned_reason(release)) or release
    if _unwatched(release):
        watch(platform, lambda: _guards_turn(platform, run_id), lambda release, verdict, seen: None)
    return release


def _guards_turn(platform: Platform, run_id: str) -> Release | None:
    """The guard watches until a step takes the release over, or until its holder's time is out."""
    release = ledger.heartbeat(platform, run_id)
    return release if _unwatched(release) and not _abandoned(release, platform.clock.now()) else None


def _abandoned(release: Release, now: datetime) -> bool:
    return release.holder is None or release.holder.until <= now


def _abandoned_reason(release: Release) -> str:
    if release.reason or release.holder is None:
        return release.reason or "the canary was left alone"
    return f"the canary was left alone: {release.holder.name} did not renew its hold after {release.holder.until:%H:%M:%S}"


def _unwatched(release: Release) -> bool:
    """The canary has traffic, and no step is polling."""
    between = release.holder is not None and not release.holder.watching
    return between and release.state is State.WATCHED and release.weight > 0
