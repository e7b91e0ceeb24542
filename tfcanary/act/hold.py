"""ACT: holding a release: while one process holds it, that process alone may raise the candidate's traffic.

`holding` is the only way to hold. It renews the hold beside any work, however long the work takes. Others see from the growing
number of renewals that the holder is alive, and the holder counts the hold's time from before its own last successful renewal: so
nobody ever compares the clocks of two machines.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from tfcanary.act import ledger
from tfcanary.core.errors import Conflict, Held, Refused, TfcanaryError, Unavailable
from tfcanary.core.ports import Platform, Stored
from tfcanary.core.record import Holder, Judged, Release

log = logging.getLogger("tfcanary.hold")

FOLLOW = 5.0
"""Seconds between two looks of a process that waits for another one of the same step."""
PARTS = 3
"""A hold is renewed each time that this part of it is over: two renewals may fail before it ends."""


T = TypeVar("T")


class TakenOver(Held):
    """Another process of the same run holds the release: it does the same work, and this one may wait for the outcome."""


@dataclass(slots=True)
class Hold:
    """The hold of this process on one release; made by `holding`."""

    platform: Platform
    run_id: str
    name: str
    watching: bool
    stored: Stored
    """The record as the last renewal left it."""
    renewed: datetime
    """When the last successful renewal began, by this process's clock."""
    lasts: timedelta
    by: str = field(default_factory=lambda: secrets.token_hex(6))
    judged: Judged | None = None
    """Where the judge's newest state lies: written down with the next renewal."""
    lost: Held | None = None
    """Why this process holds the release no longer."""
    handed_over: bool = False

    @property
    def release(self) -> Release:
        """The release as the last renewal left it."""
        return ledger.ours(self.stored.record, self.run_id)

    @property
    def alive(self) -> bool:
        """Whether the hold still lasts, by this process's own clock."""
        return self.lost is None and not self.handed_over and self.platform.clock.now() - self.renewed < self.lasts

    def check(self) -> None:
        """Raises Held where this process does not hold the release any more."""
        if self.lost:
            raise self.lost
        if not self.alive:
            raise Held(f"release {self.run_id!r}: {self.name} did not renew its hold for {self.lasts}; it changes nothing any more")

    def watch(self, step: Callable[[Release], Release] = lambda release: release) -> None:
        """From now on this process polls the canary: the hold lasts for a lease only, and the guard does not watch meanwhile.

        `step` changes the release in the same write.
        """
        self.watching = True
        self.renew(step)

    def renew(self, step: Callable[[Release], Release] = lambda release: release) -> None:
        """Renew the hold now, and change the release by `step` in the same write.

        Raises Held where another process holds the release, or the release has ended.
        """
        began = self.platform.clock.now()

        def renewed(release: Release) -> Release:
            if self.handed_over:
                # A renewal that was on its way while the hold was handed over must not take it back.
                return release
            return replace(self.on(step(self._still_mine(release)), began), judged=self.judged or release.judged)

        self.stored = ledger.change_stored(self.platform, self.run_id, renewed, self.stored)
        self.lasts, self.renewed = _lasts(self.release, self.watching), began

    def hand_over(self, step: Callable[[Release], Release | None] = lambda release: release, name: str = "") -> Release | None:
        """End the hold and leave the release to the next step, for as long as the plan's `deploy.handover`.

        `step` changes the release in the same write; where it returns None, nothing is written, and the hold goes on.
        """
        began = self.platform.clock.now()
        result: list[Release | None] = []

        def left(release: Release) -> Release:
            after = step(release)
            result[:] = [after]
            if after is None:
                return release
            return after if after.state.ended or not self._is_mine(release) else self._left(after, began, name)

        self.handed_over = True
        try:
            release = ledger.change(self.platform, self.run_id, left)
        except TfcanaryError:
            self.handed_over = False
            raise
        self.handed_over = result[-1] is not None
        return release if self.handed_over else None

    def _left(self, release: Release, now: datetime, name: str) -> Release:
        lasts, count = release.plan.deploy.handover, release.holder.renewals + 1 if release.holder else 1
        left = f"{self.run_id}: {name or f'after {self.name}'}"
        holder = Holder(left, self.by, count, lasts, now + lasts, watching=False, between_steps=True)
        return replace(release, holder=holder, judged=self.judged or release.judged)

    def on(self, release: Release, now: datetime) -> Release:
        """The release with this process as its holder, renewed once more."""
        lasts = _lasts(release, self.watching)
        count = release.holder.renewals + 1 if release.holder else 1
        holder = Holder(f"{self.run_id}: {self.name}", self.by, count, lasts, now + lasts, self.watching)
        return replace(release, holder=holder)

    def tick(self) -> None:
        """Renew the hold where a part of it is over; what is lost is remembered, and a record that cannot be reached is tried again."""
        if self.platform.clock.now() - self.renewed >= self.lasts / PARTS:
            self.try_renew()

    def try_renew(self, step: Callable[[Release], Release] = lambda release: release) -> None:
        """Renew the hold, and change the release by `step`, where that is possible now; the next `tick` tries the renewal again."""
        if self.lost or self.handed_over:
            return
        try:
            self.renew(step)
        except Held as error:
            self.lost = error
        except (Unavailable, Conflict, Refused) as error:
            log.warning("%s: the hold of %s was not renewed: %s", self.platform.model, self.name, error)

    def _is_mine(self, release: Release) -> bool:
        return release.holder is not None and release.holder.by == self.by

    def _still_mine(self, release: Release) -> Release:
        _not_ended(release)
        if not self._is_mine(release):
            other = release.holder.name if release.holder else "nobody"
            raise TakenOver(f"release {self.run_id!r} is held by {other} now, not by {self.name}")
        return release


@contextmanager
def holding(platform: Platform, run_id: str, name: str, watching: bool = False) -> Iterator[Hold]:
    """Hold the release for the block, and hand it over to the next step at its end.

    Whoever begins to hold takes the place of another process of the same run. Raises Held where the release has ended, or the record
    shows another one.
    """
    began = platform.clock.now()
    stored = ledger.stored(platform)
    hold = Hold(platform, run_id, name, watching, stored, began, _lasts(ledger.ours(stored.record, run_id), watching))
    hold.stored = ledger.change_stored(platform, run_id, lambda release: hold.on(_begun_anew(release), began), stored)
    with platform.clock.beside(hold.release.plan.deploy.lease.total_seconds() / PARTS, hold.tick):
        yield hold
        if not hold.handed_over and not hold.lost:
            hold.hand_over()


def follow(platform: Platform, run_id: str, outcome: Callable[[Release], T | None]) -> T:
    """Wait for what another process of the same step brings about; the guard ends the release where that process dies.

    Raises Held where the release ends without this outcome.
    """
    while True:
        release = ledger.read_release(platform, run_id)
        result = outcome(release)
        if result is not None:
            return result
        _not_ended(release)
        platform.clock.sleep(FOLLOW)


def _lasts(release: Release, watching: bool) -> timedelta:
    return release.plan.deploy.lease if watching else release.plan.deploy.handover


def _begun_anew(release: Release) -> Release:
    """The release as a step begins to hold it: whatever a step said that failed before is overcome."""
    return replace(_not_ended(release), failure="")


def _not_ended(release: Release) -> Release:
    if release.state.ended:
        raise Held(f"release {release.run_id!r} has ended: {release.state.value} ({release.reason})")
    return release
