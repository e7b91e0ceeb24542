"""The record: the one truth about the releases of a model, as values.

Whoever reads the record knows what to do next; it is written by compare and swap (`ports.Records`). Before each move of traffic, tracks
or servers the record says what is wanted (`Release.desired`), under a number that the move carries (`Release.intent`).

    open ── validate, push, deploy ──▶ watched ──▶ promoting ──▶ promoted
      │                                  │
      └────────── anything else ─────────┴──────▶ rolling back ──▶ rolled back
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tfcanary.core.domain import Decision, Desired, Finding, Intent, Look, ModelVersion, Verdict
from tfcanary.core.plan import Plan

SCHEMA = 3
"""Raised with every change of the record's form that an older tfcanary would misread."""


class State(StrEnum):
    """Where a release stands. Only the last three are ends."""

    OPEN = "open"
    """Begun; the canary has no traffic and never had."""
    WATCHED = "watched"
    """The canary is deployed and may have traffic."""
    PROMOTING = "promoting"
    """The promotion has begun; until its end it can still be rolled back."""
    ROLLING_BACK = "rolling back"
    """The decision has fallen; traffic is at 0 or about to be; the canary may still run."""
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    REFUSED = "refused"
    """A gate refused the candidate before any traffic."""

    @property
    def ended(self) -> bool:
        """No step of the release may change the world any more."""
        return self in (State.PROMOTED, State.ROLLED_BACK, State.REFUSED)


@dataclass(frozen=True, slots=True)
class Holder:
    """Which process may raise the candidate's traffic, and for how long after its last renewal."""

    name: str
    """The run id and the step, for people."""
    by: str
    """The process: another one with the same name is another holder."""
    renewals: int
    """Grows with each renewal; others see from it that the holder is alive, without comparing clocks."""
    lasts: timedelta
    """How long the hold lasts after a renewal."""
    until: datetime
    """When the hold ends by the holder's own clock, for people."""
    watching: bool
    """Whether the holder polls the canary. Where it does not, the guard watches."""
    between_steps: bool = False
    """Whether the step in the name has ended and left the release to the next one."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What the guard says of itself: that it is alive, and whether it could watch."""

    number: int
    """Grows with every beat: the guard is alive while it grows."""
    able: int
    """Grows each time that the guard has read the judge's state and the route: the guard can watch while it grows."""
    at: datetime
    """When, by the guard's own clock, for people."""
    renewal: str = ""
    """The holder's renewal that the guard saw, as `<process> <number>`."""
    unchanged: timedelta = timedelta(0)
    """For how long the guard has seen that renewal unchanged: a guard that is started again goes on from here."""
    blind: timedelta = timedelta(0)
    """For how long the guard has not been able to watch a canary that nobody else watched."""


@dataclass(frozen=True, slots=True)
class Pause:
    """No weight rises and no stage ends well; the watch goes on and may roll back."""

    since: datetime
    approval: bool = False
    """The stage went well and waits for a person's approval; else a person paused it."""
    reason: str = ""
    """What the person said who paused it."""
    until: datetime | None = None
    """The release waits for the plan's `windows` and `freeze`, not for a person: then at the latest weights may rise again."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Where the judge's state lies: generation named, so that nobody continues another one."""

    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is telling the plan's receivers at the moment, and until when nobody else begins to."""

    by: str
    until: datetime


@dataclass(frozen=True, slots=True)
class DriftTold:
    """The last drift of the world that is told outside: in which release it was found, and when."""

    run_id: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for the history and the picture."""

    at: datetime
    what: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Export:
    """Where a candidate comes from: what a refused one, which has no version, is known by."""

    uri: str = ""
    """What was submitted: a directory or a bucket's URI, not the copy that servers load; empty where the release began without one."""
    digest: str = ""
    """The digest of its files; empty until they were hashed."""
    commit: str = ""
    """The plan's `commit`."""
    training_run: str = ""
    """The plan's `training_run`."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release: its plan, how far it got, and why it ended as it did."""

    run_id: str
    plan: Plan
    plan_digest: str
    began: datetime
    state: State = State.OPEN
    begun_by: str = ""
    """Kubeflow's id of the run that began it: another run with the same release id is refused."""
    export: Export = Export()
    candidate: ModelVersion | None = None
    """The version that the export became in the bucket; None before it was pushed."""
    desired: Desired = field(default_factory=Desired)
    """The world as the release wants it: written before the world is changed."""
    intent: int = 0
    """How often what is desired has changed, over all releases of the model: the fencing token of every move."""
    stage: int = -1
    """The stage being watched, or the last one that was."""
    stage_began: datetime | None = None
    first_traffic: datetime | None = None
    pause: Pause | None = None
    waited: timedelta = timedelta(0)
    """What earlier pauses of this stage took: its clock stood still."""
    window_waited: timedelta = timedelta(0)
    """What earlier waits of this stage for a window took: its clock stood still, and no person's patience was asked."""
    override: str = ""
    """Why weights may rise outside the plan's windows: what the person said who overrode them."""
    approved: int = -1
    """The last stage that a person approved."""
    holder: Holder | None = None
    beat: Beat | None = None
    """The guard's last beat; None before the first."""
    judged: Judged | None = None
    looks: Mapping[str, Look] = field(default_factory=dict)
    """What the gates found, by step (`validate`, `compare`, `drift-0`, ...)."""
    watched: tuple[Verdict, ...] = ()
    """What each watched stage ended with, by stage: a step that runs again returns it."""
    verdicts: tuple[Verdict, ...] = ()
    """What the judge decided at the end of each stage, by stage."""
    trip: Verdict | None = None
    """The verdict at which the weight went to 0, whoever watched."""
    failure: str = ""
    """What the last step said that could not do its work."""
    events: tuple[Event, ...] = ()
    reason: str = ""
    """Why it ended, in one sentence."""
    ended: datetime | None = None
    published: bool = False
    """Whether a promoted version was copied to the stable bucket, and old versions were removed."""
    told: tuple[str, ...] = ()
    """What each of the plan's receivers has been told, as `<id of the notice>@<number of the receiver>`."""
    telling: Telling | None = None

    @property
    def weight(self) -> int:
        """The canary's share of users' requests that is desired, in percent."""
        return self.desired.traffic.canary

    @property
    def token(self) -> Intent:
        """The fencing token of the moves that make the world as it is desired now."""
        return Intent(self.run_id, self.intent)

    @property
    def tripped(self) -> Verdict | None:
        """The verdict that rolled it back, if one did."""
        return self.trip or next((v for v in (*self.watched, *self.verdicts) if v.decision is Decision.ROLLBACK), None)

    @property
    def failed(self) -> bool:
        """Something was asked and found bad: a gate or the judge. Where not, an end without promotion means "undecided"."""
        refused = any(e.gating and e.finding is Finding.FAIL for look in self.looks.values() for e in look.evidence)
        return refused or (self.tripped is not None and not self.tripped.undecided)

    def is_of(self, run_id: str, begun_by: str = "") -> bool:
        """Whether the release has this id and, with `begun_by`, is no other pipeline run's: a cloned run repeats the id."""
        return self.run_id == run_id and (not begun_by or self.begun_by in ("", begun_by))

    @property
    def line(self) -> Ended | None:
        """The release as a line of the history; None while it has not ended."""
        if self.ended is None:
            return None
        version = self.candidate.number if self.candidate else None
        return Ended(self.run_id, self.state, version, self.reason, self.began, self.ended, self.export, self.override)

    @property
    def waits_for_window(self) -> bool:
        """Whether it waits until the plan's windows let a weight rise."""
        return self.pause is not None and self.pause.until is not None

    def next_rise(self, at: datetime) -> datetime:
        """The first instant from `at` on at which a weight may rise: `at` itself inside the plan's windows, or where they are overridden."""
        return at if self.override else self.plan.next_rise(at)

    def waiting(self, at: datetime) -> timedelta:
        """How long this stage has been paused by people, or has waited for them, all in all."""
        return self.waited + (at - self.pause.since if self.pause and not self.waits_for_window else timedelta(0))

    def standing(self, at: datetime) -> timedelta:
        """For how long this stage's clock has stood still: for people and for windows."""
        return self.waited + self.window_waited + (at - self.pause.since if self.pause else timedelta(0))

    def resumed(self, at: datetime) -> Release:
        """Without its pause, which does not count into the stage's time."""
        waited = self.waiting(at)
        return replace(self, pause=None, waited=waited, window_waited=self.standing(at) - waited)

    def happened(self, at: datetime, what: str) -> Release:
        """With one more event, at the present weight."""
        return replace(self, events=(*self.events, Event(at=at, what=what, weight=self.weight)))

    def wanting(self, desired: Desired) -> Release:
        """The release that wants another world, under a new intent; nothing changes where it wants this one already."""
        return self if desired == self.desired else replace(self, desired=desired, intent=self.intent + 1)


@dataclass(frozen=True, slots=True)
class Ended:
    """A line of the history."""

    run_id: str
    state: State
    version: int | None
    """None for a candidate that was refused before it was pushed: its export names it."""
    reason: str
    began: datetime
    ended: datetime
    export: Export = Export()
    override: str = ""
    """Why weights could rise outside the plan's windows; empty where nobody overrode them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pipeline's run that began no release, and why."""

    run_id: str
    """The id that its release would have had; the run's own where another run's release has that id."""
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A candidate that waits until the road is free."""

    event: str
    """Who asked for it, and so its identity: 16 hexadecimal digits of a hash."""
    model_uri: str
    since: datetime
    """When its event says that it happened; orders candidates whose names do not say which is newer."""
    commit: str = ""
    training_run: str = ""


@dataclass(frozen=True, slots=True)
class Called:
    """A candidate that was handed to a pipeline."""

    candidate: Waiting
    until: datetime
    """Its release must have begun by then; afterwards another candidate may be called."""
    page: str = ""
    """Where to look: the run's address or its log file; empty until it is submitted."""


class Fate(StrEnum):
    """What became of a candidate that was offered and will not be released."""

    REPLACED = "replaced"
    """A newer candidate was there, or came while it waited."""
    REFUSED = "refused"
    """It could not be submitted, or is not what a release could begin with."""
    LATE = "late"
    """It was handed to a pipeline, and no release began in time."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A candidate that will not be released, so that whoever offered it can be told."""

    candidate: Waiting
    fate: Fate
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known about a model: what is stable, what was, and the active release or the last one."""

    model: str
    writer: str
    """The version of tfcanary that wrote it last, for people."""
    stable: ModelVersion | None = None
    previous: tuple[ModelVersion, ...] = ()
    """Former stable versions that are kept, newest first."""
    release: Release | None = None
    history: tuple[Ended, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    """Runs that began no release, newest last."""
    waiting: tuple[Waiting, ...] = ()
    """Candidates that wait for their turn, oldest first."""
    heard: tuple[str, ...] = ()
    """Events that were heard, newest last: the same one again is no second candidate."""
    called: Called | None = None
    """The claim of the candidate whose turn it is, until its release begins."""
    latest: Called | None = None
    """The last candidate from the waiting list whose release has begun."""
    dropped: tuple[Dropped, ...] = ()
    """Candidates that were offered and will not be released, newest last."""
    drift_told: DriftTold | None = None
    schema: int = SCHEMA
    """The number of the record's form: every tfcanary that knows it may hold, revert and restore the release."""

    @property
    def active(self) -> Release | None:
        """The release that has not ended, if any."""
        return None if self.release is None or self.release.state.ended else self.release

    def refusal(self, run_id: str) -> Refusal | None:
        """Why this run began no release; None where it began one, or left no word."""
        return next((one for one in self.refusals if one.run_id == run_id), None)

    def with_stable(self, version: ModelVersion) -> Record:
        """With another stable version; the former one is the first of `previous`, of which the plan's `bucket.keep` are kept."""
        keep = self.release.plan.bucket.keep if self.release else 1
        former = tuple(v for v in (self.stable, *self.previous) if v and v.number != version.number)
        return replace(self, stable=version, previous=former[: max(keep - 1, 0)])
