"""Whose turn is it: the candidates that wait for the road, as changes of the record and nothing else.

    offer ──▶ waiting ──call──▶ called ──the release begins──▶ latest
                 │                 │
                 │                 ├── give_back, or another's release begins ──▶ waiting
                 └── a newer one ──┴── refused, late ──▶ dropped

Each function takes a record and returns the next one, for `ledger.update`. The road is free only where no release is on
it and nobody's claim is alive: so never two are on it, however many processes look.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tfcanary.core.codec import broken
from tfcanary.core.errors import Held
from tfcanary.core.plan import WaitingPolicy, seconds
from tfcanary.core.record import Called, Dropped, Fate, Record, Waiting

MOST = 20
"""Candidates that wait, and candidates that were dropped: the record must stay far below a ConfigMap's 1 MiB."""
HEARD = 500
"""Events that are remembered: deliveries are repeated within days, and 500 candidates are more than a model has in days."""
LONGEST_URI = 1024
"""Characters: object names are no longer."""
LONGEST_REASON = 300
"""Characters of the sentence that says why a candidate was dropped."""
BEGINS: timedelta = seconds(900)
"""How long a pipeline may take from its submission to the beginning of its release: a node that is started, and an image that is pulled."""


class Answer(StrEnum):
    """What an offer comes to."""

    WAITING = "waiting"
    HEARD = "heard"
    """This event, or this very version, was heard before: nothing changed."""
    REPLACED = "replaced"
    """A newer candidate is there already."""


@dataclass(frozen=True, slots=True)
class Offered:
    """The record after an offer, and what is to be said to whoever made it."""

    record: Record
    answer: Answer
    reason: str


def identity(source: str, event: str) -> str:
    """An event's identity: whatever its sender calls it takes 16 characters in the record."""
    return hashlib.sha256(f"{source}\0{event}".encode("utf-8", "replace")).hexdigest()[:16]


def newer(one: Waiting, other: Waiting) -> bool:
    """Whether `one` is surely the newer candidate: by number where both are numbers of one folder, else by time."""
    ours, theirs = _numbered(one.model_uri), _numbered(other.model_uri)
    if ours and theirs and ours[0] == theirs[0]:
        return ours[1] > theirs[1]
    return one.since > other.since


def _numbered(uri: str) -> tuple[str, int] | None:
    folder, _, name = uri.rpartition("/")
    return (folder, int(name)) if name.isdecimal() and name.isascii() else None


def _same(one: Waiting, other: Waiting) -> bool:
    """The same numbered version: numbers are not given twice, whoever tells of it. Other names may be written anew."""
    return one.model_uri == other.model_uri and _numbered(one.model_uri) is not None


def offer(record: Record, candidate: Waiting, policy: WaitingPolicy, now: datetime) -> Offered:
    """A candidate for the waiting list. What is older than a candidate that was called, or than the one that waits, is dropped."""
    ahead = [call.candidate for call in (record.called, record.latest) if call]
    if candidate.event in record.heard or any(_same(candidate, one) for one in (*ahead, *record.waiting)):
        return Offered(record, Answer.HEARD, f"{candidate.model_uri} was heard of before")
    record = replace(record, heard=(*record.heard, candidate.event)[-HEARD:])
    rivals = (*ahead, *record.waiting) if policy is WaitingPolicy.NEWEST else ahead
    if winner := next((one for one in rivals if newer(one, candidate)), None):
        reason = f"{candidate.model_uri} is older than {winner.model_uri}, which was offered already"
        return Offered(_drop(record, candidate, Fate.REPLACED, reason, now), Answer.REPLACED, reason)
    return Offered(_queued(record, candidate, policy, now), Answer.WAITING, f"{candidate.model_uri} waits for its turn")


def _queued(record: Record, candidate: Waiting, policy: WaitingPolicy, now: datetime) -> Record:
    """In its place, oldest first; whoever has no room any more is dropped, the oldest first."""
    place = next((i for i, one in enumerate(record.waiting) if newer(one, candidate)), len(record.waiting))
    everybody = (*record.waiting[:place], candidate, *record.waiting[place:])
    room = 1 if policy is WaitingPolicy.NEWEST else MOST
    record = replace(record, waiting=everybody[-room:])
    for one in everybody[:-room]:
        record = _drop(record, one, Fate.REPLACED, f"{one.model_uri} was replaced by {everybody[-1].model_uri} while it waited", now)
    return record


def _drop(record: Record, candidate: Waiting, fate: Fate, reason: str, now: datetime) -> Record:
    dropped = Dropped(candidate, fate, bounded(reason), now)
    return replace(record, dropped=(*record.dropped, dropped)[-MOST:])


def bounded(text: str) -> str:
    """A sentence as the record may hold it: short, and without what the codec refuses to read."""
    text = broken(text).encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"


def is_free(record: Record, now: datetime) -> bool:
    """No release is active, and no candidate has been called."""
    return record.active is None and (record.called is None or record.called.until <= now)


def next_up(record: Record, now: datetime) -> Waiting | None:
    """Whose turn it is; None while the road is taken, or nobody waits."""
    return record.waiting[0] if record.waiting and is_free(record, now) else None


def release_id(model: str, event: str) -> str:
    """The id of a candidate's release, the same however often it is submitted: an answer that was lost never makes two releases of it."""
    return f"{model}-{event}"


def call(record: Record, event: str, now: datetime) -> Record:
    """Claim the model for the candidate whose turn it is; raises Held where it is another one's, or another release is active."""
    record = expire(record, now)
    candidate = next_up(record, now)
    if candidate is None or candidate.event != event:
        raise Held(f"{record.model}: it is not the turn of this candidate any more")
    return replace(record, waiting=record.waiting[1:], called=Called(candidate, now + BEGINS))


def expire(record: Record, now: datetime) -> Record:
    """A claim whose time is out without a release having begun is no claim: its candidate is dropped, with a sentence."""
    called = record.called
    if called is None or called.until > now:
        return record
    minutes = BEGINS.total_seconds() / 60
    reason = f"{called.candidate.model_uri} was handed to a pipeline, and no release had begun {minutes:.0f} minutes later"
    return drop(record, called.candidate.event, Fate.LATE, reason, now)


def drop(record: Record, event: str, fate: Fate, reason: str, now: datetime) -> Record:
    """This candidate will not be released: it leaves the list, or gives up its claim. Nothing to do where it does neither."""
    candidate = _of(record, event)
    if candidate is None:
        return record
    return _drop(_without(record, event), candidate, fate, reason, now)


def give_back(record: Record, event: str, policy: WaitingPolicy, now: datetime) -> Record:
    """The claim was of no use for now: the candidate waits again, unless a newer one does."""
    if record.called is None or record.called.candidate.event != event:
        return record
    return _queued(_without(record, event), record.called.candidate, policy, now)


def submitted(record: Record, event: str, page: str) -> Record:
    """Note where its pipeline can be looked at; the release may have begun already."""
    page = bounded(page)
    if record.called and record.called.candidate.event == event:
        return replace(record, called=replace(record.called, page=page))
    if record.latest and record.latest.candidate.event == event:
        return replace(record, latest=replace(record.latest, page=page))
    return record


def begun(record: Record, run_id: str, policy: WaitingPolicy, now: datetime) -> Record:
    """A release of this model begins: its claim has done its work. Where another one was quicker, the claimed candidate waits again."""
    waiting = tuple(one for one in record.waiting if release_id(record.model, one.event) != run_id)
    record = record if waiting == record.waiting else replace(record, waiting=waiting)
    if record.called is None:
        return record
    if release_id(record.model, record.called.candidate.event) != run_id:
        return give_back(record, record.called.candidate.event, policy, now)
    return replace(record, called=None, latest=record.called)


def _of(record: Record, event: str) -> Waiting | None:
    everybody = (*record.waiting, *((record.called.candidate,) if record.called else ()))
    return next((one for one in everybody if one.event == event), None)


def _without(record: Record, event: str) -> Record:
    called = record.called if record.called and record.called.candidate.event != event else None
    return replace(record, called=called, waiting=tuple(one for one in record.waiting if one.event != event))
