"""ACT: who asked to be told is told, last of all: traffic first, then the record, then this.

The exit step, the guard and `abort` share this one function. What has been told is in the record, and who is telling: of
two processes that live only one tells. One that is killed between telling and writing it down tells again, under the same id.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from tfcanary.act import ledger
from tfcanary.core.domain import Decision
from tfcanary.core.errors import Held, TfcanaryError
from tfcanary.core.plan import NotifyPlan, Occasion
from tfcanary.core.ports import Notice, Platform
from tfcanary.core.record import Record, Release, Telling

log = logging.getLogger("tfcanary.notify")

TURN = timedelta(seconds=60)
"""For one receiver and the write that follows: twice as long as a receiver may take."""
LOOK = 1.0
"""Seconds between two looks whether whoever tells has ended."""

Due = tuple[str, Notice, NotifyPlan]
"""How the record calls it, and who is to be told what."""


def deliver(platform: Platform, run_id: str) -> bool:
    """Tell every receiver of the plan what it has not been told; returns whether nothing is left. Raises nothing: no release depends on it."""
    try:
        begun = _turn(platform, run_id)
        return begun is None or _deliver_all(platform, *begun)
    except Held:
        return True
    except TfcanaryError as error:
        log.warning("%s: not everybody could be told of release %s: %s", platform.model, run_id, error)
        return False


def aside(platform: Platform, run_id: str) -> threading.Thread:
    """Deliver in a thread of its own, so that a guard goes on beating meanwhile."""
    thread = threading.Thread(target=deliver, args=(platform, run_id), name=f"notices of {platform.model}", daemon=True)
    thread.start()
    return thread


def settle(platform: Platform) -> bool:
    """Before the next release takes the record: tell how the last one ended, where everybody died who was to tell it."""
    try:
        last = ledger.read(platform).release
    except TfcanaryError:
        return False
    return last is None or not last.state.ended or deliver(platform, last.run_id)


def due(record: Record, platform: str) -> tuple[Due, ...]:
    """Everything that has happened and has not been told, oldest first."""
    release = record.release
    if release is None or not release.plan.notify:
        return ()
    found = [
        (f"{notice.id}@{number}", notice, to)
        for occasion, notice in _happened(record, release, platform)
        for number, to in enumerate(release.plan.notify)
        if occasion in to.when
    ]
    return tuple(one for one in found if one[0] not in release.told)


def _turn(platform: Platform, run_id: str) -> tuple[Release, tuple[Due, ...]] | None:
    """Begin to tell, after whoever else does; None where nothing is due. Raises Held where the record holds another release."""
    mine = secrets.token_hex(8)

    def begun(record: Record) -> Record:
        release, now = ledger.ours(record, run_id), platform.clock.now()
        free = release.telling is None or release.telling.until <= now
        return replace(record, release=_on(release, mine, now)) if free and due(record, platform.uri) else record

    while True:
        record = ledger.update(platform, begun).record
        release, left = ledger.ours(record, run_id), due(record, platform.uri)
        if not left:
            return None
        if release.telling and release.telling.by == mine:
            return release, left
        platform.clock.sleep(LOOK)


def _deliver_all(platform: Platform, release: Release, left: tuple[Due, ...]) -> bool:
    """Whether everybody has taken everything. A receiver that does not take one thing is not asked to take the next."""
    mine = release.telling.by if release.telling else ""
    failed: set[NotifyPlan] = set()
    for name, notice, to in left:
        if to not in failed and not _one(platform, mine, name, notice, to):
            failed.add(to)
    _written(platform, release.run_id, lambda r: replace(r, telling=None) if r.telling and r.telling.by == mine else r)
    return not failed


def _one(platform: Platform, mine: str, name: str, notice: Notice, to: NotifyPlan) -> bool:
    """Tell one receiver, and write down whether it has taken it."""
    failure = ""
    try:
        platform.notices.send(notice, to)
    except TfcanaryError as error:
        failure = f"not told: {notice.kind}: {error}"
        log.warning("%s: %s", platform.model, failure)
    now = platform.clock.now()

    def delivered(release: Release) -> Release:
        on = _on(release, mine, now)
        return on.happened(now, failure) if failure else replace(on, told=(*on.told, name))

    _written(platform, notice.run_id, delivered)
    return not failure


def _written(platform: Platform, run_id: str, step: Callable[[Release], Release]) -> None:
    """Nothing where the next release has begun meanwhile: the rest is told all the same."""
    with suppress(Held):
        ledger.change(platform, run_id, step)


def _on(release: Release, mine: str, now: datetime) -> Release:
    """One more turn of whoever tells."""
    return replace(release, telling=Telling(mine, now + TURN))


def _happened(record: Record, release: Release, platform: str) -> Iterator[tuple[Occasion, Notice]]:
    """What has happened in this release, whether told or not."""
    if record.drift_told and record.drift_told.run_id == release.run_id:
        drift = _notice(record, release, platform, "drift.world", record.drift_told.reason, record.drift_told.at)
        yield Occasion.DRIFT, replace(drift, retrain=release.plan.drift.retrain if release.plan.drift else "")
    for verdict in release.verdicts:
        if verdict.decision is Decision.ADVANCE:
            stage = _notice(record, release, platform, "stage.advanced", verdict.reason, verdict.at or release.began)
            yield Occasion.STAGE, replace(stage, id=f"{stage.id}/{verdict.stage}", stage=verdict.stage, weight=verdict.weight)
    if release.pause and release.pause.approval:
        reason = f"stage {release.stage} went well: `tfcanary approve {record.model}`, or `tfcanary reject {record.model}`"
        asked = _notice(record, release, platform, "stage.awaits_approval", reason, release.pause.since)
        yield Occasion.APPROVAL, replace(asked, id=f"{asked.id}/{release.stage}")
    if release.state.ended:
        kind = f"release.{release.state.value.replace(' ', '_')}"
        yield Occasion.END, _notice(record, release, platform, kind, release.reason, release.ended or release.began)


def _notice(record: Record, release: Release, platform: str, kind: str, reason: str, at: datetime) -> Notice:
    return Notice(
        id=f"{release.run_id}/{kind}",
        kind=kind,
        at=at,
        platform=platform,
        model=record.model,
        run_id=release.run_id,
        state=release.state.value,
        reason=reason,
        candidate=release.candidate.number if release.candidate else None,
        stable=record.stable.number if record.stable else None,
        stage=release.stage if release.stage >= 0 else None,
    )
