"""The record: the one truth about the releases of a model, as values.

Who reads it knows what to do next; who writes it does so by compare and swap (`ports.Records`), which is also
the fencing. Artifacts of the pipeline are copies for people.

    open ── validate, push, deploy ──▶ watched ──▶ promoting ──▶ promoted
      │                                  │
      └────────── anything else ─────────┴──────▶ rolling back ──▶ rolled back
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tfcanary.core.domain import Decision, Finding, Look, ModelVersion, Verdict
from tfcanary.core.plan import Plan


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
    """Who may change the weight, and until when."""

    name: str
    """The run id and the step, for people."""
    until: datetime
    watching: bool
    """A step is polling. Where not, the release is between two steps and the guard watches."""


@dataclass(frozen=True, slots=True)
class Pause:
    """No weight rises and no stage ends well; the watch goes on and may roll back."""

    since: datetime
    approval: bool = False
    """The stage went well and waits for a person's approval; else a person paused it."""


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
class Release:
    """One release: its plan, how far it got, and why it ended as it did."""

    run_id: str
    plan: Plan
    plan_digest: str
    began: datetime
    state: State = State.OPEN
    candidate: ModelVersion | None = None
    weight: int = 0
    """What was last asked of the router: written before the router is."""
    stage: int = -1
    """The stage being watched, or the last one that was."""
    stage_began: datetime | None = None
    first_traffic: datetime | None = None
    pause: Pause | None = None
    waited: timedelta = timedelta(0)
    """What earlier pauses of this stage took: its clock stood still."""
    approved: int = -1
    """The last stage that a person approved."""
    holder: Holder | None = None
    guard_seen: datetime | None = None
    """The guard's heartbeat."""
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
    told: tuple[str, ...] = ()
    """What each of the plan's receivers has been told, as `<id of the notice>@<number of the receiver>`."""
    telling: Telling | None = None

    @property
    def tripped(self) -> Verdict | None:
        """The verdict that rolled it back, if one did."""
        return self.trip or next((v for v in (*self.watched, *self.verdicts) if v.decision is Decision.ROLLBACK), None)

    @property
    def failed(self) -> bool:
        """Something was asked and found bad: a gate or the judge. Where not, an end without promotion means "undecided"."""
        refused = any(e.gating and e.finding is Finding.FAIL for look in self.looks.values() for e in look.evidence)
        return refused or (self.tripped is not None and not self.tripped.undecided)

    def waiting(self, at: datetime) -> timedelta:
        """How long this stage has been paused, all in all."""
        return self.waited + (at - self.pause.since if self.pause else timedelta(0))

    def resumed(self, at: datetime) -> Release:
        """Without its pause, which does not count into the stage's time."""
        return replace(self, pause=None, waited=self.waiting(at))

    def happened(self, at: datetime, what: str) -> Release:
        """With one more event, at the present weight."""
        return replace(self, events=(*self.events, Event(at=at, what=what, weight=self.weight)))

    def held(self, name: str, at: datetime, lasts: timedelta, watching: bool) -> Release:
        """With a holder until `at` + `lasts`."""
        return replace(self, holder=Holder(name=name, until=at + lasts, watching=watching))


@dataclass(frozen=True, slots=True)
class Ended:
    """A line of the history."""

    run_id: str
    state: State
    version: int
    reason: str
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A candidate that waits until the road is free."""

    event: str
    """Who asked for it, and so its identity: 16 hexadecimal digits of a hash."""
    model_uri: str
    since: datetime
    """When its event says that it happened; orders candidates whose names do not say which is newer."""


@dataclass(frozen=True, slots=True)
class Called:
    """A candidate that was handed to a pipeline."""

    candidate: Waiting
    until: datetime
    """Its release must have begun by then; afterwards the road is free again."""
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
    """All that is known about a model: what is stable, what was, and the release on the road or the last one."""

    model: str
    writer: str
    """The version of tfcanary that wrote it: another one is refused by name."""
    stable: ModelVersion | None = None
    previous: tuple[ModelVersion, ...] = ()
    """Former stable versions that are kept, newest first."""
    release: Release | None = None
    history: tuple[Ended, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    """Candidates that wait for the road, oldest first."""
    heard: tuple[str, ...] = ()
    """Events that were heard, newest last: the same one again is no second candidate."""
    called: Called | None = None
    """The claim on the road between "it is your turn" and the beginning of that release."""
    latest: Called | None = None
    """The last candidate from the waiting list whose release has begun."""
    dropped: tuple[Dropped, ...] = ()
    """Candidates that were offered and will not be released, newest last."""
    drift_told: DriftTold | None = None

    @property
    def on_the_road(self) -> Release | None:
        """The release that has not ended, if any."""
        return None if self.release is None or self.release.state.ended else self.release

    def with_stable(self, version: ModelVersion) -> Record:
        """With another stable version; the former one is the first of `previous`, of which the plan's `bucket.keep` are kept."""
        keep = self.release.plan.bucket.keep if self.release else 1
        former = tuple(v for v in (self.stable, *self.previous) if v and v.number != version.number)
        return replace(self, stable=version, previous=former[: max(keep - 1, 0)])
