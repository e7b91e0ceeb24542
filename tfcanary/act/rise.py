"""ACT: waiting until the candidate's weight may rise: for the person who paused the release, and for the plan's windows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tfcanary.act import ledger
from tfcanary.act.hold import Hold
from tfcanary.core.durations import written
from tfcanary.core.errors import GaveUp
from tfcanary.core.record import Pause, Release, State

SHARE = 20
"""A step that waits looks again after this part of a handover: 15 s by default."""


def is_closed(release: Release, now: datetime) -> bool:
    """Whether the next weight is a larger one, and the plan's windows let none rise now. A promotion that has begun is not stopped by them."""
    return release.state is State.WATCHED and release.plan.rises_after(release.stage) and release.next_rise(now) > now


def awaiting_window(release: Release, now: datetime) -> Release:
    """The release, which waits from now on for its window; unchanged where it need not, or waits already."""
    if release.pause or not is_closed(release, now):
        return release
    opens = release.next_rise(now)
    what = f"waits at {release.weight} % for its window, which opens on {release.plan.on_the_clock(opens)}"
    return replace(release, pause=Pause(now, until=opens)).happened(now, what)


def after_window(release: Release, now: datetime) -> Release:
    """The release without its wait for a window, where that is open by now."""
    if not release.waits_for_window or is_closed(release, now):
        return release
    return release.resumed(now).happened(now, "its window is open")


def await_rise(hold: Hold) -> Release:
    """Wait while the release is paused or its windows are closed; the guard watches meanwhile. Returns it as it stands then: it may have ended.

    Raises Held where another process holds the release, GaveUp where nobody resumed it within `stage.patience`.
    """
    clock = hold.platform.clock
    while True:
        release, now = ledger.read_release(hold.platform, hold.run_id), clock.now()
        if release.state not in (State.OPEN, State.WATCHED) or not (release.pause or is_closed(release, now)):
            return release
        hold.check()
        if release.waits_for_window or not release.pause:
            _renew(hold, release, now)
        elif release.waiting(now) > release.plan.stage.patience:
            raise GaveUp(f"nobody resumed it within {written(release.plan.stage.patience)}")
        if not release.waits_for_window or is_closed(release, now):
            clock.sleep(release.plan.deploy.handover.total_seconds() / SHARE)


def _renew(hold: Hold, release: Release, now: datetime) -> None:
    """Write down that the release waits for its window, or waits no longer; nothing is written where it says so already."""
    if after_window(awaiting_window(release, now), now) != release:
        hold.renew(lambda now_there: after_window(awaiting_window(now_there, now), now))
