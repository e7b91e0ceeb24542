"""The last step of a training pipeline: offer what was trained, wait for its turn, and submit its release.

While it waits it is the model's dispatcher, beside others that may run: whoever claims the road submits. Where another one took
the candidate, this step tells what became of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tfcanary import adapters
from tfcanary.act import ledger, queue
from tfcanary.core import codec
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan, seconds
from tfcanary.core.record import Record, Waiting
from tfcanary.run.trigger import offer, uris, watching
from tfcanary.run.trigger.dispatch import Dispatcher
from tfcanary.run.trigger.settings import Target
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness

LOOK = 15.0
"""Seconds between two looks for a free road: a release takes hours."""
SETTLE = seconds(60)
"""How long a version without a marker must rest, where it was not made by the run itself."""
SUBMITTED, WAITING, NOTHING_NEW, GONE = "submitted", "waiting", "nothing new", "gone"

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the candidate: a word for a gate, a sentence for people, and where its pipeline can be looked at."""

    word: str
    """`submitted`, `waiting` (it stays in the list), `replaced`, `refused`, `late`, `gone` (offered long before); `nothing new` only for a folder."""
    reason: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a step was asked."""

    model_uri: str
    model_name: str
    run_id: str
    wait: str
    newest: bool = False
    """`model_uri` is a folder of versions, of which the newest complete one is meant."""
    complete: str = ""
    """With `newest`: the object that is written last."""


def take(asked: Offer, plan: Mapping[str, Any], target: Target) -> Outcome:
    """Offer, wait at most as long as asked, submit. Raises Refused where an argument is wrong, Unavailable where nothing could be offered."""
    decoded: Plan = codec.decode(Plan, plan, at="plan")
    wait: timedelta = codec.decode(timedelta, asked.wait, at="wait")
    if target.platform.startswith("kube://") and not target.host:
        raise Refused("host: is missing; a release that runs in this step's pod would end with it; name the Kubeflow Pipelines endpoint")
    platform = adapters.open_platform(target.platform, asked.model_name, decoded)
    folder = watching.Folder(uris.normalised(asked.model_uri), decoded, Completeness(asked.complete, SETTLE))
    others = Completeness(asked.complete, SETTLE)
    dispatcher = Dispatcher(platform, decoded, target, Counts(), others.of_uri)
    candidate = _newest(folder, dispatcher) if asked.newest else _made(folder.uri, asked.run_id, dispatcher)
    if candidate is None:
        return Outcome(NOTHING_NEW, f"there is no complete version in {folder.uri}")
    if not asked.newest:
        dispatcher.complete = lambda uri: uri == candidate.model_uri or others.of_uri(uri)
    offered = offer.offer(platform, candidate, decoded)
    if asked.newest and offered.answer is not queue.Answer.WAITING and fate(ledger.read(platform), candidate).word != WAITING:
        return Outcome(NOTHING_NEW, offered.reason)
    return _awaited(dispatcher, candidate, wait)


def _made(uri: str, run_id: str, dispatcher: Dispatcher) -> Waiting:
    """The version that this run has made: the step that runs again offers the same."""
    return Waiting(queue.identity("run", f"{run_id}\0{uri}"), uri, dispatcher.platform.clock.now())


def _newest(folder: watching.Folder, dispatcher: Dispatcher) -> Waiting | None:
    """Without a marker it takes two looks to see that a version rests."""
    found = watching.newest(folder, dispatcher.platform)
    if found is None and not folder.completeness.marker:
        dispatcher.platform.clock.sleep(SETTLE.total_seconds() + 1)
        found = watching.newest(folder, dispatcher.platform)
    return found


def _awaited(dispatcher: Dispatcher, candidate: Waiting, wait: timedelta) -> Outcome:
    clock, said = dispatcher.platform.clock, ""
    until = clock.now() + wait
    while True:
        try:
            dispatcher.look()
            outcome = fate(ledger.read(dispatcher.platform), candidate)
        except Unavailable as error:
            outcome = Outcome(WAITING, str(error))
        if outcome.reason != said:
            log.info("%s: %s", outcome.word, outcome.reason)
            said = outcome.reason
        if outcome.word != WAITING or clock.now() >= until:
            return outcome
        clock.sleep(LOOK)


def fate(record: Record, candidate: Waiting) -> Outcome:
    """What the record says about a candidate that was offered."""
    uri, event = candidate.model_uri, candidate.event
    for call in (record.called, record.latest):
        if call and call.candidate.event == event and (call.page or call is record.latest):
            return Outcome(SUBMITTED, f"{uri} was submitted", call.page)
    if record.called and record.called.candidate.event == event:
        return Outcome(WAITING, f"{uri} was called by another dispatcher, which has not submitted it yet")
    if dropped := next((one for one in record.dropped if one.candidate.event == event), None):
        return Outcome(dropped.fate.value, dropped.reason)
    if any(one.event == event for one in record.waiting):
        return Outcome(WAITING, f"{uri} waits: {_why(record)}")
    return Outcome(GONE, f"{uri} was offered before, and others have been called since; the history says what was released")


def _why(record: Record) -> str:
    if release := record.active:
        return f"release {release.run_id} is on the road"
    if record.called:
        return f"{record.called.candidate.model_uri} was called"
    return "others are ahead of it, or it is not complete yet"
