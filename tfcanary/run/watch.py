"""Look, decide, and on a rollback decision act at once: the one loop of a release, for the step of a stage and for its guard.

The judge's state is in the bucket at every poll, so whoever polls next goes on where the last one ended. A watch that cannot see holds:
it neither advances nor promotes, and after `judge.guards.blind_after` it rolls back as undecided.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tfcanary.act import checkpoint, ledger, orders, poll_log, rise, shift
from tfcanary.act.hold import Hold, TakenOver, follow, holding
from tfcanary.act.tape import Tape
from tfcanary.core import timeline
from tfcanary.core.domain import UNDECIDED, Decision, Evidence, Finding, Look, Pool, Sample, Track, Verdict
from tfcanary.core.durations import written
from tfcanary.core.errors import Conflict, GaveUp, Held, Refused, TfcanaryError, Unavailable
from tfcanary.core.ports import Platform
from tfcanary.core.record import Judged, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.decide.judge import Judge, Poll, stages
from tfcanary.decide.judge.absence import restarts
from tfcanary.look.evaluate import metrics
from tfcanary.look.evaluate.metrics import InForce
from tfcanary.run import stage_end

log = logging.getLogger("tfcanary.watch")

SECOND_LOOK = 2.0
"""Seconds until what looks wrong is looked at again, before anybody is blamed."""

READ_BACK = 0.75
"""The part of `deploy.lease` after which the traffic in force is read back: with some routers that is two calls to the API server. It is
read back at the end of a stage, too."""

Turn = Callable[[Judged | None], Release | None]
"""The right to poll: given where the judge's state lies, the release as it stands; None where somebody else polls, or nobody needs to."""
Until = Callable[[Release, Verdict, Timeline], Verdict | None]
"""Whether this watch ends, and how; None: go on polling."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process remembers between two polls; `judged` is where the state of the last one lies."""

    judge: Judge
    seen: Timeline
    judged: Judged | None
    polls: Tape
    trace: Tape
    traced: int
    """How many of the judge's windows lie on the trace."""
    in_force: InForce
    """The traffic in force as it was last read back ..."""
    read_back: datetime
    """... which was then: each look is a question to the cluster."""
    restarts: int = 0
    """The most restarts of one server of the candidate that this process has written down."""


@dataclass(slots=True)
class Blindness:
    """For how long nobody has been able to go on judging: the judge's state cannot be read or written."""

    total: timedelta = timedelta(0)
    last: datetime | None = None

    def lost(self, now: datetime) -> timedelta:
        """One more look that saw nothing; returns the time since the first one."""
        self.total += now - self.last if self.last else timedelta(0)
        self.last = now
        return self.total

    def regained(self) -> None:
        """A look that saw everything."""
        self.total, self.last = timedelta(0), None


def watch(platform: Platform, turn: Turn, until: Until, blindness: Blindness) -> Verdict | None:
    """Poll until the judge says rollback (then the weight is 0 when this returns), `until` ends it, or the turn is over (None)."""
    memory: Memory | None = None
    release = turn(None)
    while release is not None:
        began = platform.clock.now()
        try:
            verdict, memory = _poll(platform, release, memory or _recalled(platform, release), until)
            blindness.regained()
        except (Unavailable, Refused, Conflict) as error:
            log.warning("%s: %s", platform.model, error)
            verdict, memory = _blinded(platform, release, blindness, str(error)), None
        if verdict is not None:
            return verdict
        spent = (platform.clock.now() - began).total_seconds()
        platform.clock.sleep(max(release.plan.stage.poll.total_seconds() - spent, 0.0))
        release = turn(memory.judged if memory else None)
    return None


def _poll(platform: Platform, release: Release, memory: Memory, until: Until) -> tuple[Verdict | None, Memory | None]:
    """Look, decide, act, write down. The memory is None where somebody else judged the same poll: that state is read next."""
    now = platform.clock.now()
    if now - memory.read_back >= READ_BACK * release.plan.deploy.lease:
        memory = replace(memory, in_force=metrics.in_force(platform), read_back=now)
    seen = metrics.poll(platform, release.first_traffic or now, now, memory.in_force.traffic, release.desired.traffic.baseline > 0)
    opinion = replace(memory.judge.poll(seen), stage=max(release.stage, 0), weight=release.weight, at=now)
    memory = replace(
        memory,
        seen=timeline.extend(memory.seen, seen.stable, seen.canary, opinion, seen.baseline),
        restarts=_note_restarts(platform, release, opinion, memory),
    )
    opinion = stage_end.with_samples(release, opinion, memory.seen)
    if memory.read_back < now and opinion.decision is not Decision.ROLLBACK and until(release, opinion, memory.seen):
        # No stage ends well on traffic that was read back a while ago.
        memory = replace(memory, in_force=metrics.in_force(platform), read_back=now)
    verdict = (
        _alarmed(opinion, _alarm(platform, release, memory.in_force, seen.baseline))
        or stages.blind_too_long(opinion, release, memory.seen)
        or opinion
    )
    if verdict.decision is Decision.ROLLBACK:
        shift.trip(platform, release.run_id, verdict.reason, verdict)
    log.info("%s at %s: %s: %s", platform.model, release.desired.traffic, verdict.decision.value, verdict.reason)
    ended = verdict if verdict.decision is Decision.ROLLBACK else until(release, verdict, memory.seen)
    try:
        return ended, _saved(platform, release, memory, seen, verdict)
    except Conflict:
        return ended, None
    except (Unavailable, Refused):
        if ended is not None and ended.decision is Decision.ROLLBACK:
            return ended, None
        raise


def _note_restarts(platform: Platform, release: Release, opinion: Verdict, memory: Memory) -> int:
    """Write down a restart of a candidate's server, which by itself is no alarm but is no secret either; returns the restarts so far."""
    canary, stable = restarts(opinion.evidence)
    if canary <= max(stable, memory.restarts):
        return memory.restarts
    what = f"a server of the candidate has restarted (restarts of one server: candidate {canary}, stable {stable})"
    now = platform.clock.now()
    try:
        ledger.change(platform, release.run_id, lambda r: r if any(one.what == what for one in r.events) else r.happened(now, what))
    except TfcanaryError as error:
        log.warning("%s: %s: %s", platform.model, what, error)
    return canary


def _blinded(platform: Platform, release: Release, blindness: Blindness, why: str) -> Verdict | None:
    """Hold while the judge's state is out of reach, and roll back as undecided when that lasts."""
    now, limit = platform.clock.now(), release.plan.judge.guards.blind_after
    if blindness.lost(now) < limit:
        return None
    return _give_up(platform, release, f"undecided: nobody could go on judging for {written(limit)}: {why}")


def _give_up(platform: Platform, release: Release, reason: str) -> Verdict:
    evidence = (Evidence(UNDECIDED, Finding.INCONCLUSIVE, reason),)
    stage, now = max(release.stage, 0), platform.clock.now()
    verdict = Verdict(Decision.ROLLBACK, reason, evidence, stage=stage, weight=release.weight, at=now)
    shift.trip(platform, release.run_id, reason, verdict)
    return verdict


def _alarm(platform: Platform, release: Release, in_force: InForce, baseline: Sample | None) -> Evidence | None:
    """What needs no statistics: none of the candidate's servers serves, or none of the baseline's, or somebody else changed the traffic."""
    if release.weight == 0 or release.candidate is None:
        return None
    alarm = _changed_by_others(platform, release, in_force)
    if alarm is None and (failure := _down(platform, release, Track.CANARY)):
        alarm = Evidence("watch/servers", Finding.FAIL, failure)
    if alarm is None and baseline is not None and not baseline.up and (failure := _down(platform, release, Track.BASELINE)):
        # Users are sent there, and the candidate is not to blame.
        alarm = Evidence(UNDECIDED, Finding.INCONCLUSIVE, f"undecided: {failure}")
    return alarm


def _changed_by_others(platform: Platform, release: Release, in_force: InForce) -> Evidence | None:
    """A route that carries our own last stamp, and says something else: looked at again after a moment, for a step may be moving it."""
    if _is_as_set(in_force, release):
        return None
    platform.clock.sleep(SECOND_LOOK)
    seen, now = metrics.in_force(platform), ledger.read_release(platform, release.run_id)
    if _is_as_set(seen, release) or now.token != release.token or not _carries(platform, release):
        return None
    found = seen.diverted or f"the traffic in force is {seen.traffic} canary, the release set {release.desired.traffic}"
    figures = {"in force, %": float(seen.traffic.canary)} if seen.traffic else {}
    reason = f"{found}: it was changed, and not by this release"
    return Evidence("watch/split", Finding.FAIL, reason, figures={**figures, "set, %": float(release.weight)})


def _is_as_set(seen: InForce, release: Release) -> bool:
    """Whether users' requests go where the release sent them, or nobody knows: a router that is unavailable is nobody's change."""
    return not seen.diverted and seen.traffic in (None, release.desired.traffic)


def _carries(platform: Platform, release: Release) -> bool:
    """Whether the move that the release wants was made: before it, another traffic is nobody's fault."""
    try:
        stamp = platform.router.stamp()
    except Unavailable:
        return False
    return stamp is None or stamp.number >= release.intent


def _down(platform: Platform, release: Release, track: Track) -> str | None:
    """That no server of a track serves, at two looks, while a server of stable does: what fails both speaks of the place."""
    pool = release.desired.tracks.get(track)
    if pool is None or _failure(platform, pool) is None:
        return None
    platform.clock.sleep(SECOND_LOOK)
    failure = _failure(platform, pool)
    stable = release.desired.tracks.get(Track.STABLE)
    if failure is None or (stable is not None and _failure(platform, stable) is not None):
        return None
    return f"no server of {pool} serves: {failure}"


def _failure(platform: Platform, pool: Pool) -> str | None:
    """Why no server of a pool serves; None where one does, is late, or cannot be asked."""
    try:
        servers = platform.deployer.observe(pool).servers.get(pool, ())
    except Unavailable as error:
        # What could not be asked is not bad: the judge goes on by the counters.
        log.warning("%s: %s", platform.model, error)
        return None
    if any(one.available or one.silent for one in servers):
        return None
    return "; ".join(sorted({one.message for one in servers if one.message})) or "none runs"


def _alarmed(verdict: Verdict, alarm: Evidence | None) -> Verdict | None:
    if alarm is None:
        return None
    return replace(verdict, decision=Decision.ROLLBACK, reason=alarm.reason, evidence=(alarm, *verdict.evidence))


def _recalled(platform: Platform, release: Release) -> Memory:
    """The newest state of this release; a new judge before the first poll."""
    now = platform.clock.now()
    kept = checkpoint.latest(platform, release)
    if kept is None:
        judge = Judge.begin(release.plan.judge, release.run_id, metrics.history(platform.metrics, platform.model, now))
        polls = poll_log.begin(release, judge.dumps())
        return Memory(judge, Timeline(), None, polls, Tape(), 0, metrics.in_force(platform), now)
    state, judged = kept
    windows = [window for line in checkpoint.read_trace(platform, release.run_id, state) for window in line.windows]
    judge = Judge.resume(state.judge, release.run_id, release.plan.judge, windows)
    return Memory(judge, state.timeline, judged, state.polls, state.trace, len(windows), metrics.in_force(platform), now)


def _saved(platform: Platform, release: Release, memory: Memory, seen: Poll, verdict: Verdict) -> Memory:
    windows, outline = memory.judge.windows(memory.traced), timeline.outline(memory.seen)
    traced = memory.traced + len(windows)
    polls = poll_log.add(platform, release.run_id, memory.polls, verdict.at or platform.clock.now(), seen)
    trace = checkpoint.traced(platform, release.run_id, memory.trace, checkpoint.TraceLine(memory.seen.points[-1], windows))
    state = checkpoint.Checkpoint(memory.judge.dumps(traced), outline, verdict, polls, trace)
    judged = checkpoint.save(platform, release, memory.judged, state)
    return replace(memory, seen=outline, judged=judged, polls=polls, trace=trace, traced=traced)


def watch_stage(platform: Platform, run_id: str, stage: int) -> Verdict:
    """Set the stage's weight and watch until it is decided; a stage that was watched already returns what was recorded.

    A release that was rolled back meanwhile (by the guard, by a person) is a verdict of rollback, and so is a guard that could not watch
    for `judge.guards.blind_after`. Raises Held where another process holds the release.
    """
    release = ledger.read_release(platform, run_id)
    if recorded := _outcome(release, stage):
        return recorded
    try:
        with holding(platform, run_id, f"watch stage {stage}") as hold:
            return _held_stage(hold, stage)
    except TakenOver:
        return follow(platform, run_id, lambda release: _outcome(release, stage))
    except Held:
        if recorded := _outcome(ledger.read_release(platform, run_id), stage):
            return recorded
        raise


def _outcome(release: Release, stage: int) -> Verdict | None:
    return ledger.of_stage(release.watched, stage) or over(release, stage)


def _held_stage(hold: Hold, stage: int) -> Verdict:
    release = hold.release
    if release.stage < stage:
        release = orders.await_turn(hold)
    if recorded := _outcome(release, stage):
        return recorded
    try:
        shift.shift(hold, stage)
    except GaveUp as error:
        return replace(_give_up(hold.platform, release, f"undecided: {error}"), stage=stage)
    return _watched(hold, stage)


def _watched(hold: Hold, stage: int) -> Verdict:
    """Poll until the stage has a verdict in the record. A person who pauses, or must approve, keeps it open, and so does a closed window."""
    blindness = Blindness()
    while True:
        verdict = watch(hold.platform, lambda judged: _turn(hold, judged), stage_end.conclude, blindness)
        if verdict is not None and (recorded := _recorded(hold, verdict)):
            return recorded
        if ended := _outcome(ledger.read_release(hold.platform, hold.run_id), stage):
            return ended
        if hold.lost:
            raise hold.lost


def _turn(hold: Hold, judged: Judged | None) -> Release | None:
    """The hold is renewed beside the polls, and the record is read by that alone: each renewal names the judge's newest state."""
    hold.judged = judged or hold.judged
    now = hold.platform.clock.now()
    if rise.after_window(hold.release, now) != hold.release:
        hold.try_renew(lambda release: rise.after_window(release, now))
    return hold.release if hold.lost is None and hold.release.state is State.WATCHED else None


def over(release: Release, stage: int) -> Verdict | None:
    """The verdict of a release whose rollback has begun, whoever began it; None while it goes on."""
    if release.state not in (State.ROLLING_BACK, State.ROLLED_BACK, State.REFUSED):
        return None
    found = release.tripped or Verdict(decision=Decision.ROLLBACK, reason=release.reason)
    return replace(found, reason=release.reason or found.reason, stage=stage)


def _recorded(hold: Hold, verdict: Verdict) -> Verdict | None:
    """Write down how the stage ended and hand the release over to the next step, in one write; whoever rolled back first has said why.

    None where something comes first: the release is paused, or waits from now on, for a person's approval or for its window.
    """
    platform, run_id, now = hold.platform, hold.run_id, hold.platform.clock.now()
    if verdict.decision is Decision.ROLLBACK:
        first = over(shift.trip(platform, run_id, verdict.reason, verdict), verdict.stage)
        if first and first.reason != verdict.reason:
            return first

    def concluded(release: Release) -> Release | None:
        if verdict.decision is not Decision.ROLLBACK and (release.pause or _waiting(release, now) != release):
            return None
        watched = replace(release, watched=ledger.put_verdict(release.watched, verdict))
        return watched.happened(now, f"stage {verdict.stage}: {verdict.decision.value}: {verdict.reason}")

    after = hold.hand_over(concluded, f"after stage {verdict.stage}")
    if after is not None:
        return ledger.of_stage(after.watched, verdict.stage)
    hold.renew(lambda release: _waiting(release, now))
    return None


def _waiting(release: Release, now: datetime) -> Release:
    """The release whose stage went well, with what it waits for; unchanged where it waits for nothing.

    First for its window, then for a person's approval: nobody's patience ends while nothing could rise anyway.
    """
    if release.pause or rise.is_closed(release, now):
        return rise.awaiting_window(release, now)
    return orders.awaiting_approval(release, now) if orders.needs_approval(release) else release


def judge_stage(platform: Platform, run_id: str, stage: int, watched: Verdict, drift: Look) -> Verdict:
    """The stage's verdict out of all that was found; a rollback takes the weight to 0 at once. A stage that was judged already keeps its verdict."""
    release = ledger.read_release(platform, run_id)
    if recorded := ledger.of_stage(release.verdicts, stage):
        return recorded
    verdict = over(release, stage) or stages.combine(watched, drift, release.plan, stage)
    if verdict.decision is Decision.ROLLBACK:
        shift.trip(platform, run_id, verdict.reason, verdict)
    ledger.change(platform, run_id, lambda r: replace(r, verdicts=ledger.put_verdict(r.verdicts, verdict)))
    return verdict
