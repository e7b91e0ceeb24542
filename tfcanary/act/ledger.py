"""Reading and writing the record of a model: who may do what, and what has happened.

All writes go through `update`: read, change, compare and swap, and again where somebody else wrote first.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from tfcanary import __version__
from tfcanary.act import queue
from tfcanary.core import codec
from tfcanary.core.domain import Look, Verdict
from tfcanary.core.errors import Conflict, Held, Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform, Stored
from tfcanary.core.record import Ended, Judged, Record, Release, State

TRIES = 20
"""Writers of one record are few (a step, the guard, a person): twenty lost races in a row are no race any more."""
HISTORY = 50
"""Ended releases that the record remembers: it must stay far below a ConfigMap's 1 MiB."""


def read(platform: Platform) -> Record:
    """The model's record; an empty one where there never was one."""
    stored = platform.records.read()
    return stored.record if stored else Record(model=platform.model, writer=__version__)


def update(platform: Platform, change: Callable[[Record], Record], known: Stored | None = None) -> Stored:
    """Change the record by compare and swap. `change` may raise to refuse, and may be called again; no write where nothing changes.

    `known` is what was read before: where nobody wrote meanwhile, it saves the reading.
    """
    for attempt in range(TRIES):
        stored = known or platform.records.read() or Stored(Record(model=platform.model, writer=__version__), 0)
        after: Record = codec.inert(replace(change(stored.record), writer=__version__))
        if stored.generation and after == stored.record:
            return stored
        try:
            return Stored(after, platform.records.swap(after, stored.generation))
        except Conflict:
            known = None
            platform.clock.sleep(random.uniform(0, 0.02 * 2 ** min(attempt, 6)))
    raise Unavailable(f"the record of {platform.model}: somebody else wrote first {TRIES} times in a row")


def change(platform: Platform, run_id: str, step: Callable[[Release], Release]) -> Release:
    """Change the release of this run; raises Held where the record shows another one."""
    stored = update(platform, lambda r: replace(r, release=step(ours(r, run_id))))
    return ours(stored.record, run_id)


def ours(record: Record, run_id: str) -> Release:
    """The release of this run; raises Held, naming the other one, where it is not this run's."""
    if record.release is None or record.release.run_id != run_id:
        other = record.release.run_id if record.release else "none"
        raise Held(f"{record.model}: the record holds release {other!r}, not {run_id!r}")
    return record.release


def begin(platform: Platform, plan: Plan, run_id: str, model_uri: str = "") -> Release:
    """Open this run's release, or find it open. Raises Held where another one is on the road, Refused where it cannot end well.

    `model_uri` tells whether it is the release of the candidate that a trigger has called.
    """
    now = platform.clock.now()
    check(platform, plan, run_id)

    def opened(record: Record) -> Record:
        if record.release and record.release.run_id == run_id:
            return record
        may_begin(record, plan, now)
        release = Release(run_id=run_id, plan=plan, plan_digest=codec.digest(plan), began=now)
        record = queue.begun(_archived(record), model_uri, plan.waiting, now)
        return replace(record, writer=__version__, release=release.held(f"{run_id}: begin", now, plan.deploy.handover, False))

    return ours(update(platform, opened).record, run_id)


def check(platform: Platform, plan: Plan, run_id: str = "") -> Record:
    """Whether a release may begin, asked before the first write; a release of this run that is open already may. Returns the record.

    Raises Held where another release is on the road, Refused where `bootstrap` does not fit or the platform says what would stop it later.
    """
    record = read(platform)
    if record.release is None or record.release.run_id != run_id:
        may_begin(record, plan, platform.clock.now())
        platform.preflight.check(record)
    return record


def may_begin(record: Record, plan: Plan, now: datetime) -> None:
    """Raises Held where another release is on the road, Refused where `bootstrap` does not fit what is stable."""
    _refuse_second(record, now)
    _check_bootstrap(record, plan)


def _refuse_second(record: Record, now: datetime) -> None:
    """One release a model: another one that has not ended must end first, by its own run or by `abort`."""
    other = record.on_the_road
    if other is None:
        return
    alive = other.holder is not None and other.holder.until > now
    what = (
        f"held by {other.holder.name} until {other.holder.until:%H:%M:%S} UTC"
        if alive and other.holder
        else "its holder's time has run out"
    )
    raise Held(f"{record.model}: release {other.run_id!r} is on the road ({what}); wait for its end, or `tfcanary abort {record.model}`")


def _check_bootstrap(record: Record, plan: Plan) -> None:
    if record.stable is None and not plan.bootstrap:
        raise Refused(f"{record.model}: there is no stable version to compare with; for a first release set `bootstrap: true` in the plan")
    if record.stable is not None and plan.bootstrap:
        raise Refused(f"{record.model}: version {record.stable.number} is stable already; `bootstrap: true` is for a first release only")


def _archived(record: Record) -> Record:
    """The ended release becomes a line of the history."""
    last = record.release
    if last is None or last.ended is None:
        return record
    number = last.candidate.number if last.candidate else 0
    line = Ended(run_id=last.run_id, state=last.state, version=number, reason=last.reason, began=last.began, ended=last.ended)
    return replace(record, history=(*record.history, line)[-HISTORY:])


def hold(platform: Platform, run_id: str, name: str, watching: bool = False) -> Release:
    """Renew this run's hold on the release: a watcher's for a lease, between two steps for the handover. Raises Held where it has ended."""
    now = platform.clock.now()

    def held(release: Release) -> Release:
        if release.state.ended:
            raise Held(f"release {run_id!r} has ended: {release.state.value} ({release.reason})")
        lasts = release.plan.deploy.lease if watching else release.plan.deploy.handover
        return release.held(f"{run_id}: {name}", now, lasts, watching)

    return change(platform, run_id, held)


def extend(platform: Platform, run_id: str) -> Release:
    """Renew a hold as it is, by a lease."""
    now = platform.clock.now()

    def extended(release: Release) -> Release:
        holder, until = release.holder, now + release.plan.deploy.lease
        return replace(release, holder=replace(holder, until=max(holder.until, until))) if holder else release

    return change(platform, run_id, extended)


def renew(platform: Platform, run_id: str, name: str, judged: Judged | None, known: Stored | None) -> Stored:
    """Renew a watcher's hold and name the judge's state, in one write; a release that is not watched any more is returned as it stands."""
    now = platform.clock.now()

    def renewed(record: Record) -> Record:
        release = ours(record, run_id)
        if release.state is not State.WATCHED:
            return record
        return replace(
            record,
            release=replace(release.held(f"{run_id}: {name}", now, release.plan.deploy.lease, True), judged=judged or release.judged),
        )

    return update(platform, renewed, known)


def heartbeat(platform: Platform, run_id: str) -> Release:
    """The guard is alive; returns the release as it stands."""
    return ours(platform.records.beat(run_id, platform.clock.now()).record, run_id)


def note(platform: Platform, run_id: str, look: Look) -> Release:
    """Write down what a gate found."""
    now = platform.clock.now()

    def noted(release: Release) -> Release:
        if release.looks.get(look.about) == look:
            return release
        return replace(release, looks={**release.looks, look.about: look}).happened(now, f"{look.about}: {look.finding.value}")

    return change(platform, run_id, noted)


def failed(platform: Platform, run_id: str, failure: str) -> None:
    """A step of this run could not do its work: whoever ends the release says so, where nothing else is the reason."""
    now = platform.clock.now()
    change(platform, run_id, lambda r: r if r.state.ended else replace(r, failure=failure).happened(now, f"a step failed: {failure}"))


def end(platform: Platform, run_id: str, state: State, reason: str, also: Callable[[Record], Record] = lambda r: r) -> Release:
    """The release has ended; what has ended stays as it ended. `also` changes the rest of the record in the same write."""
    now = platform.clock.now()

    def ended(record: Record) -> Record:
        release = ours(record, run_id)
        if release.state.ended:
            return record
        closed = replace(release, state=state, reason=reason, ended=now, holder=None).happened(now, f"{state.value}: {reason}")
        return also(replace(record, release=closed))

    return ours(update(platform, ended).record, run_id)


def put_verdict(verdicts: tuple[Verdict, ...], verdict: Verdict) -> tuple[Verdict, ...]:
    """With this verdict; the first one of a stage stays."""
    return verdicts if any(v.stage == verdict.stage for v in verdicts) else (*verdicts, verdict)


def of_stage(verdicts: tuple[Verdict, ...], stage: int) -> Verdict | None:
    """The recorded verdict of a stage, if there is one."""
    return next((v for v in verdicts if v.stage == stage), None)
