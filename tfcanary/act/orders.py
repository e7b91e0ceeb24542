"""ACT: what people say to the active release. Its steps read it in the record; nothing here touches traffic but a rejection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from tfcanary.act import ledger, rise, rollback
from tfcanary.act.hold import Hold
from tfcanary.core.errors import GaveUp, Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Pause, Record, Release, State


def pause(platform: Platform, reason: str) -> Release:
    """No weight rises and no stage ends well until `resume`; the watch goes on and may roll back. Raises Refused where it is paused already."""

    def paused(release: Release, now: datetime) -> Release:
        if release.pause and not release.waits_for_window:
            raise Refused(f"{platform.model}: {_state(release)}; to go on: {_way_on(platform, release)}")
        return replace(release.resumed(now), pause=Pause(now, reason=reason)).happened(now, f"paused: {reason}")

    return _ordered(platform, paused)


def resume(platform: Platform, reason: str) -> Release:
    """Go on after `pause`. Raises Refused where nobody paused it."""

    def resumed(release: Release, now: datetime) -> Release:
        if release.pause is None or release.pause.approval or release.waits_for_window:
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


def override_window(platform: Platform, reason: str) -> Release:
    """Weights of the release may rise from now on whatever the plan's windows say. Raises Refused without a reason, and where nothing would change."""
    if not reason.strip():
        raise Refused(f"--reason {reason!r}: must say why weights may rise outside the windows; the record keeps it")

    def overridden(release: Release, now: datetime) -> Release:
        if not release.plan.has_windows:
            raise Refused(f"{platform.model}: the plan has neither `windows` nor `freeze`: weights may rise at any time")
        if release.override:
            raise Refused(f"{platform.model}: the windows of this release are overridden already: {release.override}")
        if release.state not in (State.OPEN, State.WATCHED):
            raise Refused(f"{platform.model}: the release is {release.state.value}: no window keeps it from anything")
        free = release.resumed(now) if release.waits_for_window else release
        return replace(free, override=reason).happened(now, f"windows overridden: {reason}")

    return _ordered(platform, overridden)


def needs_approval(release: Release) -> bool:
    """Whether the stage being watched may not end well before a person approved it."""
    return release.plan.asks(release.stage) and release.approved < release.stage


def awaiting_approval(release: Release, now: datetime) -> Release:
    """The release, waiting for a person's approval from now on."""
    return replace(release, pause=Pause(now, approval=True)).happened(now, f"stage {release.stage} went well and waits for approval")


def await_turn(hold: Hold) -> Release:
    """Wait between two steps while the release is paused, or its windows are closed to the next weight; the guard watches meanwhile.

    Returns it as it stands then: it may have ended, as it does where nobody resumed it in time. Raises Held where another process holds it.
    """
    try:
        return rise.await_rise(hold)
    except GaveUp as error:
        rollback.roll_back(hold.platform, hold.run_id, f"undecided: {error}")
        return ledger.read_release(hold.platform, hold.run_id)


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
        asks = f"the plan's `stage.approval` is `{release.plan.times(release.stage).approval.value}`"
        raise Refused(f"{platform.model}: {_state(release)}; no stage waits for approval ({asks})")


def _state(release: Release) -> str:
    if release.pause is None:
        return f"the release is {release.state.value} and not paused"
    if release.pause.until:
        until = release.plan.on_the_clock(release.pause.until)
        return f"the release waits for its window since {release.pause.since:%H:%M:%S %Z}, until {until} at the latest"
    return f"the release {'waits for approval' if release.pause.approval else 'is paused'} since {release.pause.since:%H:%M:%S %Z}"


def _way_on(platform: Platform, release: Release) -> str:
    verb = "approve" if release.pause and release.pause.approval else "resume"
    return f"`tfcanary {verb} {platform.model}`"
