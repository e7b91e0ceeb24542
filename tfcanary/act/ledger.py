"""Reading and writing the record of a model: who may do what, and what has happened.

All writes go through `update`: read, change, compare and swap, and again where somebody else wrote first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tfcanary import __version__
from tfcanary.act import queue
from tfcanary.core import codec
from tfcanary.core.domain import Desired, Look, RunningPool, Track, Verdict
from tfcanary.core.errors import Conflict, Held, Refused, Unavailable, told
from tfcanary.core.plan import Plan
from tfcanary.core.plan.outlook import outlook
from tfcanary.core.ports import Platform, Stored
from tfcanary.core.record import SCHEMA, Export, Holder, Record, Refusal, Release, State
from tfcanary.core.retry import Pauses, attempts

RACE = Pauses(first=0.02, longest=1.28, attempts=20, jitter=(0.0, 1.0))
"""Writers of one record are few (a step, the guard, a person): twenty lost races in a row are no race any more."""
HISTORY = 50
"""Ended releases that the record remembers: it must stay far below a ConfigMap's 1 MiB."""
REFUSALS = 10
"""Runs that began no release, whose reason the record remembers until their last step has shown it."""
LONGEST_FAILURE = 500
"""Characters of a failed step's message that the record keeps: the record is no log."""


def stored(platform: Platform) -> Stored:
    """The model's record with its generation; an empty record of generation 0 where there never was one."""
    return platform.records.read() or Stored(Record(model=platform.model, writer=__version__), 0)


def read(platform: Platform) -> Record:
    """The model's record; an empty one where there never was one."""
    return stored(platform).record


def read_release(platform: Platform, run_id: str) -> Release:
    """The release of this run as the record has it now; raises Held where the record shows another one."""
    return ours(read(platform), run_id)


def update(platform: Platform, change: Callable[[Record], Record], known: Stored | None = None) -> Stored:
    """Change the record by compare and swap. `change` may raise to refuse, and may be called again; no write where nothing changes.

    `known` is what was read before: where nobody wrote meanwhile, it saves the reading.
    """
    for _ in attempts(RACE, clock=platform.clock):
        before = known or stored(platform)
        after: Record = codec.inert(replace(change(before.record), writer=__version__, schema=SCHEMA))
        if before.generation and after == before.record:
            return before
        try:
            return Stored(after, platform.records.swap(after, before.generation))
        except Conflict:
            known = None
    raise Unavailable(f"the record of {platform.model}: somebody else wrote first {RACE.attempts} times in a row")


def change(platform: Platform, run_id: str, step: Callable[[Release], Release]) -> Release:
    """Change the release of this run and return it; raises Held where the record shows another one."""
    return ours(change_stored(platform, run_id, step).record, run_id)


def change_stored(platform: Platform, run_id: str, step: Callable[[Release], Release], known: Stored | None = None) -> Stored:
    """Change the release of this run and return the record as it stands then; `known` as for `update`. Raises Held where it shows another release."""
    return update(platform, lambda record: replace(record, release=step(ours(record, run_id))), known)


def ours(record: Record, run_id: str) -> Release:
    """The release of this run; raises Held, naming the other one, where it is not this run's."""
    if record.release is None or record.release.run_id != run_id:
        other = record.release.run_id if record.release else "none"
        raise Held(f"{record.model}: the record holds release {other!r}, not {run_id!r}")
    return record.release


def begin(platform: Platform, plan: Plan, run_id: str, begun_by: str = "", model_uri: str = "") -> Release:
    """Open this run's release, or find it open, and start its guard. Raises Held where another one is active, Refused where it cannot end well.

    `model_uri` is the candidate's export. `begun_by` is Kubeflow's id of the run: a second run with the same release id is refused.
    """
    now = platform.clock.now()
    check(platform, plan, run_id)

    def opened(record: Record) -> Record:
        if record.release and record.release.run_id == run_id:
            _refuse_clone(record.release, begun_by)
            return record
        may_begin(record, plan, run_id)
        release = Release(
            run_id=run_id,
            plan=plan,
            plan_digest=codec.digest(plan),
            began=now,
            begun_by=begun_by,
            override=plan.override_window,
            export=Export(model_uri, commit=plan.commit, training_run=plan.training_run),
            desired=_serving(record, plan),
            # A record that was lost begins again above every stamp that the world still carries.
            intent=record.release.intent + 1 if record.release else int(now.timestamp()),
            holder=Holder(f"{run_id}: after its beginning", "", 1, plan.deploy.handover, now + plan.deploy.handover, False, True),
        )
        for sentence in (*outlook(plan, now), *([f"windows overridden: {plan.override_window}"] if plan.override_window else [])):
            release = release.happened(now, sentence)
        record = queue.begun(_archived(record), run_id, plan.waiting, now)
        return replace(record, release=release)

    release = ours(update(platform, opened).record, run_id)
    if not release.state.ended:
        platform.guards.start(run_id)
    return release


def _refuse_clone(release: Release, begun_by: str) -> None:
    """A cloned or recurring run repeats its parameters, the id of the release among them."""
    if release.begun_by != begun_by:
        raise Refused(
            f"release {release.run_id!r} was begun by run {release.begun_by or 'none of Kubeflow'!r}, and this is {begun_by!r}; "
            "give the new release an id of its own, or leave `release_id` empty"
        )


def _serving(record: Record, plan: Plan) -> Desired:
    """The world before a release: the stable version serves everything. What the last release left running stays until this one deploys."""
    left = record.release.desired.pools if record.release else ()
    if record.stable is None:
        return Desired(pools=left)
    stable = RunningPool(record.stable, least=plan.least_of_stable)
    return Desired(tracks={Track.STABLE: stable.pool}, pools=left).with_pool(stable)


def check(platform: Platform, plan: Plan, run_id: str = "") -> Record:
    """Whether a release may begin, asked before the first write; a release of this run that is open already may. Returns the record.

    Raises Held where another release is active, Refused where `bootstrap` does not fit or the platform says what would stop it later.
    """
    record = read(platform)
    if record.release is None or record.release.run_id != run_id:
        may_begin(record, plan, run_id)
        platform.preflight.check(record)
    return record


def may_begin(record: Record, plan: Plan, run_id: str = "") -> None:
    """Raises Held where another release is active, Refused where `bootstrap` does not fit what is stable, the id was used before, or there is no window to override."""
    other = record.active
    if other is not None:
        holder = f", held by {other.holder.name} until {other.holder.until:%H:%M:%S %Z} by its clock" if other.holder else ""
        raise Held(
            f"{record.model}: release {other.run_id!r} is active ({other.state.value}{holder}); "
            f"wait for its end, or `tfcanary abort {record.model}`"
        )
    if run_id and any(ended.run_id == run_id for ended in record.history):
        raise Refused(f"{record.model}: release {run_id!r} has ended already; give the new release an id of its own")
    check_bootstrap(record, plan)
    if plan.override_window and not plan.has_windows:
        raise Refused(f"override_window {plan.override_window!r}: must be left out where the plan has neither `windows` nor `freeze`")


def check_bootstrap(record: Record, plan: Plan) -> None:
    """Raises Refused where `bootstrap` does not fit what is stable."""
    if record.stable is None and not plan.bootstrap:
        raise Refused(f"{record.model}: there is no stable version to compare with; for a first release set `bootstrap: true` in the plan")
    if record.stable is not None and plan.bootstrap:
        raise Refused(f"{record.model}: version {record.stable.number} is stable already; `bootstrap: true` is for a first release only")


def _archived(record: Record) -> Record:
    """The ended release becomes a line of the history."""
    line = record.release.line if record.release else None
    if line is None:
        return record
    return replace(record, history=(*record.history, line)[-HISTORY:])


def note(platform: Platform, run_id: str, look: Look) -> Release:
    """Write down what a gate found."""
    now = platform.clock.now()

    def noted(release: Release) -> Release:
        if release.looks.get(look.about) == look:
            return release
        return replace(release, looks={**release.looks, look.about: look}).happened(now, f"{look.about}: {look.answer}")

    return change(platform, run_id, noted)


def failed(platform: Platform, run_id: str, error: Exception, begun_by: str = "") -> None:
    """A step of this run could not do its work: whoever ends the release says so, where nothing else is the reason.

    Where the record holds no release of this run, the run began none: its first such error is kept as its refusal. A cloned run, which
    repeats the id of another one's release, is known by `begun_by`, its own.
    """
    now, failure = platform.clock.now(), told(error)[:LONGEST_FAILURE]

    def noted(record: Record) -> Record:
        release = record.release
        if release is None or not release.is_of(run_id, begun_by):
            cloned = release is not None and release.run_id == run_id
            return _with_refusal(record, Refusal(begun_by if cloned else run_id, failure, now))
        if release.state.ended or isinstance(error, Held):
            return record
        return replace(record, release=replace(release, failure=failure).happened(now, f"a step failed: {failure}"))

    update(platform, noted)


def _with_refusal(record: Record, refusal: Refusal) -> Record:
    """With the refusal of a run that never had a release; the first one of a run stays."""
    if record.refusal(refusal.run_id) or any(ended.run_id == refusal.run_id for ended in record.history):
        return record
    return replace(record, refusals=(*record.refusals, refusal)[-REFUSALS:])


def end(
    platform: Platform, run_id: str, state: State, after: State, reason: str, also: Callable[[Record], Record] = lambda r: r
) -> Release:
    """End the release that stands at `after`; `also` changes the rest of the record in the same write. Returns the release as it stands.

    No end is written over another state: where somebody else has decided meanwhile, the release is returned as it is.
    """
    now = platform.clock.now()

    def closed(record: Record) -> Record:
        release = ours(record, run_id)
        if release.state is not after:
            return record
        ended = replace(release, state=state, reason=reason, ended=now, holder=None).happened(now, f"{state.value}: {reason}")
        return also(replace(record, release=ended))

    return ours(update(platform, closed).record, run_id)


def put_verdict(verdicts: tuple[Verdict, ...], verdict: Verdict) -> tuple[Verdict, ...]:
    """With this verdict; the first one of a stage stays."""
    return verdicts if any(v.stage == verdict.stage for v in verdicts) else (*verdicts, verdict)


def of_stage(verdicts: tuple[Verdict, ...], stage: int) -> Verdict | None:
    """The recorded verdict of a stage, if there is one."""
    return next((v for v in verdicts if v.stage == stage), None)
