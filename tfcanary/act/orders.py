"""ACT: what people say to the active release. Its steps read it in the record; nothing here touches traffic but a rejection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from tfcanary.act import ledger, rollback
from tfcanary.act.hold import Hold
from tfcanary.core.durations import written
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Pause, Record, Release, State

SHARE = 20
"""A step that waits looks again after this part of a handover: 15 s by default."""


def pause(platform: Platform, reason: str) -> Release:
    """No weight rises and no stage ends well until `resume`; the watch goes on and may roll back. Raises Refused where it is paused already."""

    def paused(release: Release, now: datetime) -> Release:
        if release.pause:
            raise Refused(f"{platform.model}: {_state(release)}; to go on: {_way_on(platform, release)}")
        return replace(release, pause=Pause(now, reason=reason)).happened(now, f"paused: {reason}")

    return _ordered(platform, paused)


def resume(platform: Platform, reason: str) -> Release:
    """Go on after `pause`. Raises Refused where nobody paused it."""

    def resumed(release: Release, now: datetime) -> Release:
        if release.pause is None or release.pause.approval:
            raise Refused(f"{platform.model}: {_state(release)}; `resume` goes on after `pause`")
        return release.resumed(now).happened(now, f"resumed: {reason}")

    return _ordered(platform, resumed)


def approve(platform: Platform, reason: str) -> Release:
    """The stage that waits for a person may end. Raises Refused where none waits."""

    def approved(release: Release, now: datetime) -> Release:
        _refuse_unasked(platform, release)
        return replace(release.resumed(now), approved=release.stage).happened(now, f"stage {release.stage} approved: {reason}")

    return _ordered(platform, approved)


def reject(platform: Platform, reason: str) -> Release | None:
    """The stage that waits for a person ends the release: rolled back. Raises Refused where none waits."""
    release = _active(ledger.read(platform))
    _refuse_unasked(platform, release)
    return rollback.roll_back(platform, release.run_id, f"rejected: {reason}")


def needs_approval(release: Release) -> bool:
    """Whether the stage being watched may not end well before a person approved it."""
    return release.plan.asks(release.stage) and release.approved < release.stage


def awaiting_approval(release: Release, now: datetime) -> Release:
    """The release, waiting for a person's approval from now on."""
    return replace(release, pause=Pause(now, approval=True)).happened(now, f"stage {release.stage} went well and waits for approval")


def await_resume(hold: Hold) -> Release:
    """Wait while the release is paused between two steps; the guard watches meanwhile. Returns it as it stands then: it may have ended.

    Raises Held where another process holds the release.
    """
    platform, run_id = hold.platform, hold.run_id
    while (release := ledger.read_release(platform, run_id)).pause and release.state in (State.OPEN, State.WATCHED):
        hold.check()
        if release.waiting(platform.clock.now()) > release.plan.stage.patience:
            rollback.roll_back(platform, run_id, f"undecided: nobody resumed it within {written(release.plan.stage.patience)}")
        else:
            platform.clock.sleep(release.plan.deploy.handover.total_seconds() / SHARE)
    return release


def _ordered(platform: Platform, step: Callable[[Release, datetime], Release]) -> Release:
    now = platform.clock.now()
    stored = ledger.update(platform, lambda record: replace(record, release=step(_active(record), now)))
    return _active(stored.record)


def _active(record: Record) -> Release:
    if record.active is None:
        raise Refused(f"{record.model}: no release is active")
    return record.active


def _refuse_unasked(platform: Platform, release: Release) -> None:
    if release.pause is None or not release.pause.approval:
        asks = f"the plan's `stage.approval` is `{release.plan.stage.approval.value}`"
        raise Refused(f"{platform.model}: {_state(release)}; no stage waits for approval ({asks})")


def _state(release: Release) -> str:
    if release.pause is None:
        return f"the release is {release.state.value} and not paused"
    return f"the release {'waits for approval' if release.pause.approval else 'is paused'} since {release.pause.since:%H:%M:%S %Z}"


def _way_on(platform: Platform, release: Release) -> str:
    verb = "approve" if release.pause and release.pause.approval else "resume"
    return f"`tfcanary {verb} {platform.model}`"
