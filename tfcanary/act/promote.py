"""ACT: the candidate becomes the version that everybody gets. No server is restarted.

Order: as many servers as all traffic needs, all traffic to the canary track, the stable track points at the candidate's
servers, traffic back to the stable track, the canary track points at nothing. At every moment the track that gets the
traffic has servers that were judged. Each move is what the record wants before it is made: a promotion that was killed goes on from
there, and one that is aborted meanwhile is put back. The previous version's servers stay for the plan's `deploy.keep_previous`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tfcanary.act import deploy, ledger, orders, push, restore, rollback, shift
from tfcanary.act.finish import finish
from tfcanary.act.hold import Hold, TakenOver, follow, holding
from tfcanary.act.signed_verdict import sign_verdict
from tfcanary.core.domain import Decision, Desired, Finding, ModelVersion, Pool, Role, RunningPool, Track, Traffic
from tfcanary.core.errors import Held, Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release, State


def promote(platform: Platform, run_id: str) -> Release:
    """Make the candidate stable; returns the ended release: rolled back where its servers cannot become enough, or somebody ended it meanwhile.

    Raises Refused without a verdict to promote, Held where this process may not go on.
    """
    release = ledger.read_release(platform, run_id)
    if release.state.ended:
        return _finished(platform, release)
    candidate = _allowed(release)
    try:
        with holding(platform, run_id, "promote") as hold:
            release = orders.await_turn(hold)
            if release.state is State.WATCHED and not _enough(hold, candidate):
                return ledger.read_release(platform, run_id)
            if not release.state.ended:
                _switch(hold, candidate)
                _close(hold, candidate)
    except TakenOver:
        follow(platform, run_id, lambda release: release if release.state.ended else None)
    return _finished(platform, release)


def _finished(platform: Platform, release: Release) -> Release:
    """Do what is left to do, and sign the verdict where this process has a key: the guard, which may finish too, has none."""
    return sign_verdict(platform, finish(platform, release.run_id) or release)


def _allowed(release: Release) -> ModelVersion:
    last = ledger.of_stage(release.verdicts, len(release.plan.weights) - 1)
    if release.candidate is None or last is None or last.decision is not Decision.PROMOTE:
        said = last.decision.value if last else "nothing yet"
        raise Refused(f"release {release.run_id!r}: the judge said {said}; only `promote` after the last stage promotes")
    return release.candidate


def _enough(hold: Hold, candidate: ModelVersion) -> bool:
    """Whether the candidate's servers became as many as all traffic needs; where they did not, the release is rolled back."""
    platform, run_id = hold.platform, hold.run_id
    push.verify(platform, candidate)
    push.check_stable(platform, candidate)
    wanted = RunningPool(candidate, least=_size_of_stable(platform, hold.release))
    release = _want(hold, lambda desired: desired.with_pool(wanted))
    deploy.deploy_pool(hold, wanted, release.token)
    found = deploy.available(hold, wanted)
    if found.finding is Finding.PASS:
        return True
    rollback.roll_back(platform, run_id, f"not promoted: {found.reason}")
    return False


def _size_of_stable(platform: Platform, release: Release) -> int:
    return max(len(deploy.servers_of_stable(platform)), release.plan.least_of_stable)


def _switch(hold: Hold, candidate: ModelVersion) -> None:
    """All traffic to the candidate's servers, by the canary track and then by the stable one; each step begins where the record stands."""
    pool = Pool(candidate.number)
    release = ledger.read_release(hold.platform, hold.run_id)
    if release.desired.tracks.get(Track.STABLE) != pool:

        def promoting(release: Release) -> Release:
            wanted = release.wanting(replace(release.desired, traffic=Traffic(canary=100)))
            begins = release.state is not State.PROMOTING
            return replace(wanted, state=State.PROMOTING).happened(hold.platform.clock.now(), "promotion begins") if begins else wanted

        shift.raise_traffic(hold, promoting)
        _move(hold, lambda desired: desired.pointing(Track.STABLE, pool))
    _move(hold, lambda desired: replace(desired, traffic=Traffic()))


def _move(hold: Hold, step: Callable[[Desired], Desired]) -> None:
    hold.check()
    _want(hold, step)
    restore.restore(hold.platform, hold.run_id, hold)


def _want(hold: Hold, step: Callable[[Desired], Desired]) -> Release:
    """Write down what is wanted next; raises Held where the release was decided otherwise meanwhile."""

    def wanted(release: Release) -> Release:
        if release.state not in (State.WATCHED, State.PROMOTING):
            raise Held(f"release {release.run_id!r} is {release.state.value}: {release.reason or 'not watched'}; it is not promoted")
        return release.wanting(step(release.desired))

    return ledger.change(hold.platform, hold.run_id, wanted)


def _close(hold: Hold, candidate: ModelVersion) -> None:
    """The end: the candidate is stable. Where somebody rolled it back meanwhile, that stays."""
    last = ledger.of_stage(hold.release.verdicts, len(hold.release.plan.weights) - 1)

    def promoted(record: Record) -> Record:
        release = ledger.ours(record, hold.run_id)
        wanted = replace(release.desired, tracks={Track.STABLE: Pool(candidate.number)})
        if record.stable:
            # Not kept as long as the previous version's own servers: nobody goes back to a baseline.
            wanted = wanted.without_pool(Pool(record.stable.number, Role.BASELINE))
        if release.plan.scaling:
            wanted = replace(wanted, pools=tuple(replace(one, least=release.plan.least_of_stable, held=False) for one in wanted.pools))
        return replace(record.with_stable(candidate), release=release.wanting(wanted))

    ledger.end(hold.platform, hold.run_id, State.PROMOTED, State.PROMOTING, last.reason if last else "", promoted)
    hold.handed_over = True
