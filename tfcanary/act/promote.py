"""ACT: the candidate becomes the version that everybody gets. No server is restarted.

Order: as many servers as all traffic needs, all traffic to the canary track, the stable track points at the candidate's
servers, traffic back to the stable track, the canary track points at nothing. At every moment the track that gets the
traffic has servers that were judged. The previous version's servers stay for the plan's `deploy.keep_previous`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tfcanary.act import deploy, ledger, notify, orders, push, rollback, shift
from tfcanary.core.domain import Decision, Finding, ModelVersion, Track, TrafficSplit
from tfcanary.core.errors import Held, Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release, State


def promote(platform: Platform, run_id: str) -> Release:
    """Make the candidate stable; returns the ended release, rolled back where its servers cannot become enough for all traffic.

    Raises Refused without a verdict to promote, Held where it was rolled back meanwhile.
    """
    record = ledger.read(platform)
    release = ledger.ours(record, run_id)
    if release.state is State.PROMOTED:
        return release
    candidate = _allowed(release)
    orders.await_resume(platform, run_id, "promote")
    push.verify(platform, candidate)
    push.copy_to_stable(platform, candidate)
    platform.deployer.deploy(candidate, Track.STABLE)
    enough = deploy.available(platform, run_id, candidate, "promote")
    if enough.finding is not Finding.PASS:
        return rollback.roll_back(platform, run_id, f"not promoted: {enough.reason}") or release
    _begun(platform, run_id)
    _switch(platform, run_id, candidate)
    ended = ledger.end(platform, run_id, State.PROMOTED, _reason(release), lambda r: r.with_stable(candidate))
    push.retain(platform, ended.plan.bucket.keep)
    notify.deliver(platform, run_id)
    return ended


def _allowed(release: Release) -> ModelVersion:
    last = ledger.of_stage(release.verdicts, len(release.plan.weights) - 1)
    if release.candidate is None or last is None or last.decision is not Decision.PROMOTE:
        said = last.decision.value if last else "nothing yet"
        raise Refused(f"release {release.run_id!r}: the judge said {said}; only `promote` after the last stage promotes")
    return release.candidate


def _begun(platform: Platform, run_id: str) -> None:
    now = platform.clock.now()

    def promoting(release: Release) -> Release:
        _not_ended(release)
        held = release.held(f"{run_id}: promote", now, release.plan.deploy.handover, False)
        return (
            held if release.state is State.PROMOTING else replace(held, state=State.PROMOTING, weight=100).happened(now, "promotion begins")
        )

    ledger.change(platform, run_id, promoting)


def _not_ended(release: Release) -> None:
    if release.state not in (State.WATCHED, State.PROMOTING):
        raise Held(f"release {release.run_id!r} is {release.state.value}: {release.reason or 'not watched'}; it is not promoted")


def _switch(platform: Platform, run_id: str, candidate: ModelVersion) -> None:
    """Each move re-reads the record: where somebody aborts, the promotion stops and the rollback puts things back."""
    tracks = platform.deployer.observe().tracks
    if tracks.get(Track.STABLE) != candidate.number:
        _moved(platform, run_id, lambda: platform.router.set_split(TrafficSplit(canary=100)))
        _moved(platform, run_id, lambda: platform.deployer.assign(Track.STABLE, candidate.number))
    _moved(platform, run_id, lambda: shift.to_zero(platform))
    _moved(platform, run_id, lambda: platform.deployer.assign(Track.CANARY, None))


def _moved(platform: Platform, run_id: str, move: Callable[[], None]) -> None:
    _not_ended(ledger.ours(ledger.read(platform), run_id))
    move()


def _reason(release: Release) -> str:
    last = ledger.of_stage(release.verdicts, len(release.plan.weights) - 1)
    return last.reason if last else ""
