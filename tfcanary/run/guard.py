"""The guard of a release: a process that is no part of the pipeline's run, watches whenever no step does, and lowers traffic only.

Each round it beats: it says that it lives, and every third of `deploy.heartbeat` that it could watch, which it tries by reading the
judge's state and the route. It rolls back a release whose holder it has seen unchanged for longer than the hold lasts, goes on with a
rollback that somebody left, and after the end keeps the world as the record says until nothing of the release can be on its way.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tfcanary.act import checkpoint, finish, ledger, notify, rollback
from tfcanary.core.errors import Conflict, Held, Refused, TfcanaryError, Unavailable
from tfcanary.core.ports import Platform
from tfcanary.core.record import Beat, Release, State
from tfcanary.run.watch import Blindness, watch

log = logging.getLogger("tfcanary.guard")

LINGER = timedelta(seconds=30)
"""Between two rounds of a guard whose release has ended."""
PARTS = 4
"""Rounds in one `deploy.heartbeat`, while a step watches: each beat is a call to the API server."""
ABLE = 3
"""How often in one `deploy.heartbeat` the guard tries whether it could watch."""


def stand_guard(platform: Platform, run_id: str) -> Release:
    """Guard a release until it has ended and nobody needs a guard any more; returns the ended release.

    Raises Held where the record shows another release. What cannot be reached is asked again until it answers.
    """
    guard = _Guard(platform, run_id)
    while True:
        try:
            release = guard.round()
            if release.state.ended:
                _after_the_end(platform, release)
                return release
            platform.clock.sleep(_round_time(release).total_seconds())
        except Held:
            platform.guards.stop(run_id)
            raise
        except (Unavailable, Conflict, Refused) as error:
            # A guard that gives up is no guard: it asks again until it is answered.
            log.warning("%s: %s", platform.model, error)
            platform.clock.sleep(1.0)


@dataclass(slots=True)
class _Guard:
    """What the guard has seen, which travels in its beats: a guard that is started again goes on from the last one."""

    platform: Platform
    run_id: str
    release: Release | None = None
    last: datetime | None = None
    """When the guard last read the record, by its own clock."""
    tried: datetime | None = None
    """When the guard last tried whether it could watch."""
    beat: Beat | None = None
    blindness: Blindness = field(default_factory=Blindness)
    told_stage: int = -1
    """The last stage for whose approval people were asked."""

    def round(self) -> Release:
        """Beat, then do what the release needs of its guard now; returns it as it stands."""
        release = self.alive()
        if release.state.ended:
            return release
        self._ask_for_approval(release)
        if release.state is State.ROLLING_BACK:
            return rollback.roll_back(self.platform, self.run_id) or release
        if self._is_abandoned(release):
            return rollback.roll_back(self.platform, self.run_id, _abandoned_reason(release)) or release
        if _is_unwatched(release):
            watch(self.platform, lambda judged: self._turn(), lambda release, verdict, seen: None, self.blindness)
            return ledger.read_release(self.platform, self.run_id)
        self.blindness.regained()
        return release

    def alive(self) -> Release:
        """Write one beat and return the release as it stands. Raises Held where the record shows another one."""
        now = self.platform.clock.now()
        before = self.release or ledger.read_release(self.platform, self.run_id)
        last = self.beat or before.beat or Beat(0, 0, now)
        if self.beat is None:
            self.blindness.total = last.blind
        beat = Beat(last.number + 1, last.able + self._is_able(before, now), now, last.renewal, last.unchanged, self.blindness.total)
        release = ledger.ours(self.platform.records.beat(self.run_id, self._with_renewal(beat, before, now)).record, self.run_id)
        self.beat = self._with_renewal(beat, release, now)
        self.release, self.last = release, now
        return release

    def _with_renewal(self, beat: Beat, release: Release, now: datetime) -> Beat:
        """The beat with the holder's renewal, and for how long it has been seen unchanged: time in which nothing was seen does not count."""
        renewal = f"{release.holder.by} {release.holder.renewals}" if release.holder else ""
        if renewal != beat.renewal:
            return Beat(beat.number, beat.able, beat.at, renewal, timedelta(0), beat.blind)
        passed = min(now - self.last, 2 * _round_time(release)) if self.last else timedelta(0)
        return Beat(beat.number, beat.able, beat.at, renewal, beat.unchanged + passed, beat.blind)

    def _is_able(self, release: Release, now: datetime) -> bool:
        """Whether the guard could watch, tried every third of the heartbeat: it reads the judge's state, if there is one, and the route."""
        if self.tried is not None and now - self.tried < release.plan.deploy.heartbeat / ABLE:
            return False
        self.tried = now
        try:
            checkpoint.latest(self.platform, release)
            # The stamp is read from the route, too, and costs one call with every router.
            self.platform.router.stamp()
        except (Unavailable, Refused, Conflict) as error:
            log.warning("%s: this guard could not watch now: %s", self.platform.model, error)
            return False
        return True

    def _turn(self) -> Release | None:
        """The guard polls until a step takes the release over, or until its holder's time is out."""
        release = self.alive()
        return release if _is_unwatched(release) and not self._is_abandoned(release) else None

    def _is_abandoned(self, release: Release) -> bool:
        return release.holder is None or (self.beat is not None and self.beat.unchanged >= release.holder.lasts)

    def _ask_for_approval(self, release: Release) -> None:
        """A stage that waits for approval: people are told, once by each guard."""
        if release.pause and release.pause.approval and release.stage > self.told_stage:
            notify.aside(self.platform, self.run_id)
            self.told_stage = release.stage


def _after_the_end(platform: Platform, ended: Release) -> None:
    """Keep the world as the record says until no call of the release can be on its way; then stop the servers that nobody needs, and go.

    What cannot be reached is tried again until it answers, or until the next release of the model begins.
    """
    began = platform.clock.now()
    lasts = finish.needs_guard(ended) if finish.has_idle_servers(ended) else timedelta(0)
    while True:
        try:
            if finish.finish(platform, ended.run_id) is None:
                break
            if platform.clock.now() - began >= lasts:
                finish.let_go(platform, ended.run_id)
                break
        except TfcanaryError as error:
            log.warning("%s: release %s has ended, and not everything is as it should be yet: %s", platform.model, ended.run_id, error)
        platform.clock.sleep(LINGER.total_seconds())
    platform.guards.stop(ended.run_id)


def _round_time(release: Release) -> timedelta:
    """Between two rounds: as long as a beat may be old, but never longer than a lease may be left unseen."""
    return min(max(release.plan.stage.poll, release.plan.deploy.heartbeat / PARTS), release.plan.deploy.lease / 2)


def _abandoned_reason(release: Release) -> str:
    if release.reason or release.holder is None:
        return release.reason or "the canary was left alone"
    said = f"; a step had failed: {release.failure}" if release.failure else ""
    return f"the canary was left alone: {release.holder.name} did not renew its hold after {release.holder.until:%H:%M:%S %Z} by its clock{said}"


def _is_unwatched(release: Release) -> bool:
    """The canary has traffic, and no step is polling."""
    between = release.holder is not None and not release.holder.watching
    return between and release.state is State.WATCHED and release.weight > 0
