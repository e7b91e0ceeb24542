"""Look, decide, and on a rollback decision act at once: the one loop, for the step and for the guard.

Whoever holds the release runs `watch`: the step during a stage; otherwise the guard, with the same function and the
same judge state. Only `watch_stage` may raise a weight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tfcanary.act import checkpoint, ledger, notify, orders, poll_log, rollback, shift
from tfcanary.core import timeline
from tfcanary.core.domain import Decision, Evidence, Finding, Look, Verdict
from tfcanary.core.errors import Conflict, Held, Unavailable
from tfcanary.core.ports import Platform, Stored
from tfcanary.core.record import Judged, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.decide.judge import Judge, Poll, stages
from tfcanary.look.evaluate import metrics

log = logging.getLogger("tfcanary.run.watch")

SECOND_LOOK = 2.0
"""Seconds until a split that is not the release's is looked at again."""
LINGER = 30.0
"""Seconds between two looks of a guard that only waits to remove the previous version's servers."""

Turn = Callable[[Stored | None, Judged | None], Stored | None]
"""The right to watch: given what was last known of the record and where the judge's state lies, what is known now; None: the turn is over."""
Until = Callable[[Release, Verdict, Timeline], Verdict | None]
"""Whether this watch ends, and how; None: go on polling."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process remembers between two polls; `judged` is where the state of the last one lies."""

    judge: Judge
    seen: Timeline
    judged: Judged | None
    tape: poll_log.Tape
    weight: int | None
    """The canary's weight as it was last read back ..."""
    read_back: datetime
    """... which was then: each look is a question to the cluster."""


def watch(platform: Platform, turn: Turn, until: Until) -> Verdict | None:
    """Poll until the judge says rollback (then the weight is 0 when this returns), `until` ends it, or the turn is over (None)."""
    memory: Memory | None = None
    stored = turn(None, None)
    while stored is not None and (release := stored.record.release) is not None:
        began = platform.clock.now()
        ended, memory = _poll(platform, release, memory or _recalled(platform, release), until)
        if ended is not None:
            return ended
        spent = (platform.clock.now() - began).total_seconds()
        platform.clock.sleep(max(release.plan.stage.poll.total_seconds() - spent, 0.0))
        stored = turn(stored, memory.judged if memory else None)
    return None


def _poll(platform: Platform, release: Release, memory: Memory, until: Until) -> tuple[Verdict | None, Memory | None]:
    """Look, decide, act, write down. The memory is None where somebody else judged the same poll: his state is read next."""
    now = platform.clock.now()
    if now - memory.read_back >= release.plan.deploy.lease / 2:
        memory = replace(memory, weight=metrics.weight(platform), read_back=now)
    seen = metrics.poll(platform, release.first_traffic or now, now, memory.weight)
    said = replace(memory.judge.poll(seen), stage=max(release.stage, 0), weight=release.weight, at=now)
    verdict = _alarmed(said, _alarm(platform, release, memory.weight))
    if verdict.decision is Decision.ROLLBACK:
        shift.trip(platform, release.run_id, verdict.reason, verdict)
    log.info("%s at %d %%: %s: %s", platform.model, release.weight, verdict.decision.value, verdict.reason)
    memory = replace(memory, seen=timeline.extend(memory.seen, seen.stable, seen.canary, verdict))
    ended = verdict if verdict.decision is Decision.ROLLBACK else until(release, verdict, memory.seen)
    try:
        return ended, _saved(platform, release, memory, seen, verdict)
    except Conflict:
        return ended, None


def _alarm(platform: Platform, release: Release, weight: int | None) -> Evidence | None:
    """What needs no statistics: none of the candidate's servers serves, or somebody else changed the split."""
    if release.weight == 0 or release.candidate is None:
        return None
    return _moved(platform, release, weight) or _down(platform, release.candidate.number)


def _moved(platform: Platform, release: Release, weight: int | None) -> Evidence | None:
    """Looked at again after a moment: a step, or whoever rolls back, may be between the router and the record."""
    if weight in (None, release.weight):
        return None
    platform.clock.sleep(SECOND_LOOK)
    seen, now = metrics.weight(platform), ledger.ours(ledger.read(platform), release.run_id)
    if seen in (None, release.weight) or (now.state, now.weight) != (release.state, release.weight):
        return None
    reason = f"the split in force is {seen} % canary, the release set {release.weight} %: it was changed, and not by this release"
    return Evidence("watch/split", Finding.FAIL, reason, figures={"in force, %": float(seen or 0), "set, %": release.weight})


def _down(platform: Platform, number: int) -> Evidence | None:
    try:
        servers = platform.deployer.observe(number).servers.get(number, ())
    except Unavailable as error:
        # Could not ask is not bad: the judge goes on by the counters.
        log.warning("%s: %s", platform.model, error)
        return None
    if any(one.available or one.silent for one in servers):
        return None
    said = "; ".join(sorted({one.message for one in servers if one.message})) or "none runs"
    return Evidence("watch/servers", Finding.FAIL, f"no server of version {number} serves: {said}", figures={"servers": len(servers)})


def _alarmed(verdict: Verdict, alarm: Evidence | None) -> Verdict:
    if alarm is None:
        return verdict
    return replace(verdict, decision=Decision.ROLLBACK, reason=alarm.reason, evidence=(alarm, *verdict.evidence))


def _recalled(platform: Platform, release: Release) -> Memory:
    """The newest state of this release; a new judge before the first poll."""
    now = platform.clock.now()
    kept = checkpoint.latest(platform, release)
    if kept is None:
        judge = Judge.begin(release.plan.judge, release.run_id, metrics.history(platform, now))
        return Memory(judge, Timeline(), None, poll_log.begin(release, judge.dumps()), metrics.weight(platform), now)
    state, judged = kept
    judge = Judge.resume(state.judge, release.run_id, release.plan.judge)
    return Memory(judge, state.timeline, judged, state.tape, metrics.weight(platform), now)


def _saved(platform: Platform, release: Release, memory: Memory, seen: Poll, verdict: Verdict) -> Memory:
    kept = poll_log.add(poll_log.wind(platform, release.run_id, memory.tape), verdict.at or platform.clock.now(), seen)
    state = checkpoint.Checkpoint(judge=memory.judge.dumps(), timeline=memory.seen, verdict=verdict, tape=kept)
    return replace(memory, judged=checkpoint.save(platform, release, memory.judged, state), tape=kept)


def watch_stage(platform: Platform, run_id: str, stage: int) -> Verdict:
    """Set the stage's weight and watch until it is decided; a stage that was watched already returns what was recorded.

    A release that was rolled back meanwhile (by the guard, by a person) is a verdict of rollback. Raises Held or
    Refused where the weight may not rise.
    """
    release, name = ledger.ours(ledger.read(platform), run_id), f"watch stage {stage}"
    if release.stage < stage:
        release = orders.await_resume(platform, run_id, name)
    if recorded := ledger.of_stage(release.watched, stage) or over(release, stage):
        return recorded
    ledger.hold(platform, run_id, name, watching=True)
    shift.shift(platform, run_id, stage)
    verdict = watch(platform, _steps_turn(platform, run_id, name), _stage_ends)
    return (verdict and _recorded(platform, run_id, verdict)) or watch_stage(platform, run_id, stage)


def _steps_turn(platform: Platform, run_id: str, name: str) -> Turn:
    """The hold is renewed when a third of the lease is over, not at every poll: each renewal is a write to the record."""

    def turn(known: Stored | None, judged: Judged | None) -> Stored | None:
        if known and not _due(ledger.ours(known.record, run_id), platform.clock.now()):
            return known
        stored = ledger.renew(platform, run_id, name, judged, known)
        return stored if ledger.ours(stored.record, run_id).state is State.WATCHED else None

    return turn


def _due(release: Release, now: datetime) -> bool:
    return release.holder is None or release.holder.until - now <= release.plan.deploy.lease * 2 / 3


def over(release: Release, stage: int) -> Verdict | None:
    """The verdict of a release whose rollback has begun, whoever began it; None while it goes on."""
    if release.state not in (State.ROLLING_BACK, State.ROLLED_BACK, State.REFUSED):
        return None
    found = release.tripped or Verdict(decision=Decision.ROLLBACK, reason=release.reason)
    return replace(found, reason=release.reason or found.reason, stage=stage)


def _stage_ends(release: Release, verdict: Verdict, seen: Timeline) -> Verdict | None:
    return stages.end(verdict, release, timeline.canary_requests_since(seen, release.stage_began or release.began))


def _recorded(platform: Platform, run_id: str, verdict: Verdict) -> Verdict | None:
    """Write down how the stage ended and hand the release over to the next step, in one write; whoever rolled back first has said why.

    None where a person must speak first: the release is paused, or waits for approval from now on.
    """
    if verdict.decision is Decision.ROLLBACK:
        shift.trip(platform, run_id, verdict.reason, verdict)
        first = over(ledger.ours(ledger.read(platform), run_id), verdict.stage)
        if first and first.reason != verdict.reason:
            return first
    now = platform.clock.now()

    def done(release: Release) -> Release:
        if verdict.decision is not Decision.ROLLBACK and (release.pause or orders.must_ask(release)):
            return release if release.pause else orders.asked(release, now)
        handed = release.held(f"{run_id}: after stage {verdict.stage}", now, release.plan.deploy.handover, False)
        watched = replace(handed, watched=ledger.put_verdict(release.watched, verdict))
        return watched.happened(now, f"stage {verdict.stage}: {verdict.decision.value}: {verdict.reason}")

    after = ledger.change(platform, run_id, done)
    return ledger.of_stage(after.watched, verdict.stage)


def judge_stage(platform: Platform, run_id: str, stage: int, watched: Verdict, drift: Look) -> Verdict:
    """The stage's verdict out of all that was found; a rollback takes the weight to 0 at once. A stage that was judged already keeps its verdict."""
    release = ledger.ours(ledger.read(platform), run_id)
    if recorded := ledger.of_stage(release.verdicts, stage):
        return recorded
    verdict = over(release, stage) or stages.combine(watched, drift, release.plan, stage)
    if verdict.decision is Decision.ROLLBACK:
        shift.trip(platform, run_id, verdict.reason, verdict)
    ledger.change(platform, run_id, lambda r: replace(r, verdicts=ledger.put_verdict(r.verdicts, verdict)))
    return verdict


def stand_guard(platform: Platform, run_id: str) -> Release:
    """Watch whenever no step does, until the release has ended; roll back when the holder's time runs out. Lowers weights only."""
    seeing, told = platform.clock.now(), -1
    while True:
        try:
            release = _guarded(platform, run_id, seeing)
            told = _asked_people(platform, release, told)
            if release.state.ended:
                _last_act(platform, release)
                return release
            platform.clock.sleep(release.plan.stage.poll.total_seconds())
        except Held:
            platform.guards.stop(run_id)
            raise
        except (Unavailable, Conflict) as error:
            # A guard that gives up is no guard: it asks again until it is answered.
            log.warning("%s: %s", platform.model, error)
            platform.clock.sleep(1.0)
            seeing = platform.clock.now()


def _asked_people(platform: Platform, release: Release, told: int) -> int:
    """A stage that waits for approval: people are told, once by each guard; returns the last such stage."""
    if release.pause is None or not release.pause.approval or release.stage <= told:
        return told
    notify.aside(platform, release.run_id)
    return release.stage


def _last_act(platform: Platform, ended: Release) -> None:
    """Who has not been told yet is told. After a promotion the previous version's servers go when their time is over; a release that begins meanwhile clears them itself."""
    notify.deliver(platform, ended.run_id)
    until = (ended.ended or ended.began) + ended.plan.deploy.keep_previous
    while ended.state is State.PROMOTED and _is_last(platform, ended) and platform.clock.now() < until:
        platform.clock.sleep(LINGER)
    record = ledger.read(platform)
    if ended.state is State.PROMOTED and _is_last(platform, ended) and record.previous:
        platform.deployer.remove(record.previous[0].number)
    platform.guards.stop(ended.run_id)


def _is_last(platform: Platform, release: Release) -> bool:
    now = ledger.read(platform).release
    return now is not None and now.run_id == release.run_id


def _guarded(platform: Platform, run_id: str, seeing: datetime) -> Release:
    """One round of the guard, which has been seeing the record since then."""
    release = ledger.heartbeat(platform, run_id)
    if release.state.ended:
        return release
    if _abandoned(release, platform.clock.now(), seeing):
        return rollback.roll_back(platform, run_id, _abandoned_reason(release)) or release
    if _unwatched(release):
        watch(platform, lambda known, judged: _guards_turn(platform, run_id, seeing), lambda release, verdict, seen: None)
    return release


def _guards_turn(platform: Platform, run_id: str, seeing: datetime) -> Stored | None:
    """The guard watches until a step takes the release over, or until its holder's time is out."""
    stored = platform.records.beat(run_id, platform.clock.now())
    release = ledger.ours(stored.record, run_id)
    return stored if _unwatched(release) and not _abandoned(release, platform.clock.now(), seeing) else None


def _abandoned(release: Release, now: datetime, seeing: datetime) -> bool:
    """Nobody holds it any more. Who could not be heard while the guard itself heard nothing gets a third of a lease to speak again."""
    return release.holder is None or max(release.holder.until, seeing + release.plan.deploy.lease / 3) <= now


def _abandoned_reason(release: Release) -> str:
    if release.reason or release.holder is None:
        return release.reason or "the canary was left alone"
    return f"the canary was left alone: {release.holder.name} did not renew its hold after {release.holder.until:%H:%M:%S} UTC"


def _unwatched(release: Release) -> bool:
    """The canary has traffic, and no step is polling."""
    between = release.holder is not None and not release.holder.watching
    return between and release.state is State.WATCHED and release.weight > 0
