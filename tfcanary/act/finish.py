"""ACT: what is left to do once a release has ended; every process that meets an ended release may do it, and it may be repeated.

The world is put right where it is not what the record says, a promoted version is copied to the stable bucket, old versions leave the
bucket, and everybody who asked to be told is told. The servers that nobody needs any more are let go by `let_go`, which the guard calls
when no call of this release can be on its way any longer.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from tfcanary.act import expiry, ledger, notify, push, restore
from tfcanary.core.domain import Desired
from tfcanary.core.errors import Conflict, Held, Refused, Unavailable
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release, State

log = logging.getLogger("tfcanary.finish")

IN_FLIGHT = timedelta(seconds=180)
"""Longer than any call of ours may be on its way: so long the candidate's servers and the guard outlive every end of a release."""


def finish(platform: Platform, run_id: str) -> Release | None:
    """Put right what is not as the ended release left it, and do what an end was interrupted before; returns the release.

    None where the record shows another release. Raises Unavailable where the world cannot be put right now.
    """
    release = restore.restore(platform, run_id)
    if release is None or not release.state.ended:
        return release
    if release.state is State.PROMOTED and not release.published:
        release = _publish(platform, release)
    notify.deliver(platform, run_id)
    return release


def let_go(platform: Platform, run_id: str) -> Release | None:
    """Stop the servers that no track points at; after a promotion the previous version's stay until `deploy.keep_previous` is over.

    What the bucket holds of old releases is removed, too; where that cannot be, the end of the next release tries again.
    """

    def least(record: Record) -> Record:
        release = ledger.ours(record, run_id)
        return replace(record, release=release.wanting(_tracked(release.desired)))

    try:
        ledger.update(platform, least)
    except Held:
        return None
    release = restore.restore(platform, run_id)
    if release is not None:
        try:
            expiry.expire(platform, release.plan.bucket.keep_releases)
        except (Conflict, Refused, Unavailable) as error:
            log.warning("%s: what old releases left in the bucket was not removed: %s", platform.model, error)
    return release


def needs_guard(release: Release) -> timedelta:
    """How long after its end a release still needs its guard: until no call can be on its way, and the previous version's servers may go."""
    return max(IN_FLIGHT, release.plan.deploy.keep_previous) if release.state is State.PROMOTED else IN_FLIGHT


def has_idle_servers(release: Release) -> bool:
    """Whether servers run that no track points at."""
    return _tracked(release.desired) != release.desired


def _tracked(desired: Desired) -> Desired:
    return replace(desired, pools=tuple(one for one in desired.pools if one.pool in desired.tracks.values()))


def _publish(platform: Platform, release: Release) -> Release:
    """Copy the promoted version to the stable bucket, remove old versions, and write down that this is done."""
    if release.candidate is None:
        return release
    push.copy_to_stable(platform, release.candidate)
    push.retain(platform, release.plan.bucket.keep)
    try:
        return ledger.change(platform, release.run_id, lambda r: replace(r, published=True))
    except Held:
        return release
