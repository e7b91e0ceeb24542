"""ACT: everything back as it was. The exit step, the guard, `abort` and the graph's rollback share this one function.

It works from any state of a release, needs nothing to be healthy, may be repeated, and moves traffic first: a TF
Serving process ignores SIGTERM, so stopping servers is no way to stop traffic.
"""

from __future__ import annotations

from tfcanary.act import ledger, notify, shift
from tfcanary.core.domain import Finding, Track
from tfcanary.core.errors import Unavailable
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release, State

NO_VERDICT = "the run ended without a verdict"


def roll_back(platform: Platform, run_id: str, reason: str = "") -> Release | None:
    """End this run's release with the stable version serving everything; returns it, or None where the record knows no such release.

    Nothing to do where it has ended. Raises Unavailable where the split read back is not 0.
    """
    record = ledger.read(platform)
    release = record.release
    if release is None or release.run_id != run_id:
        return None
    if release.state.ended:
        return _afterwards(platform, release)
    why = reason_of(release, reason)
    shift.trip(platform, run_id, why)
    _restore(platform, record, release)
    _verified(platform)
    refused = release.first_traffic is None and reason == ""
    return _afterwards(platform, ledger.end(platform, run_id, State.REFUSED if refused else State.ROLLED_BACK, why))


def _afterwards(platform: Platform, ended: Release) -> Release:
    """Everybody is told, then the guard goes. After a promotion, or where somebody could not be told from here, it has something to do, and ends by itself."""
    if notify.deliver(platform, ended.run_id) and ended.state is not State.PROMOTED:
        platform.guards.stop(ended.run_id)
    return ended


def reason_of(release: Release, given: str = "") -> str:
    """Why it ends, in one sentence: what was given, what the judge said, which gate refused, which step failed, or that nobody said anything."""
    if given or release.reason:
        return release.reason or given
    if release.tripped:
        return release.tripped.reason
    worst = [e for look in release.looks.values() for e in look.evidence if e.gating and e.finding in (Finding.FAIL, Finding.INCONCLUSIVE)]
    worst.sort(key=lambda e: e.finding is not Finding.FAIL)
    return worst[0].reason if worst else release.failure or NO_VERDICT


def _restore(platform: Platform, record: Record, release: Release) -> None:
    """The stable track points at the stable version again (a promotion may have been under way), then the candidate's servers go."""
    tracks = platform.deployer.observe().tracks
    stable = record.stable.number if record.stable else None
    if tracks.get(Track.STABLE) != stable:
        platform.deployer.assign(Track.STABLE, stable)
        # A router that selects pods itself followed the track as it was.
        shift.to_zero(platform)
    if Track.CANARY in tracks:
        platform.deployer.assign(Track.CANARY, None)
    if release.candidate and release.candidate.number != stable:
        platform.deployer.remove(release.candidate.number)


def _verified(platform: Platform) -> None:
    split = platform.router.split()
    if split.canary != 0:
        raise Unavailable(f"{platform.model}: the split read back is {split.canary} % canary after the rollback, not 0")
