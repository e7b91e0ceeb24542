"""The last step of a training pipeline: offer what was trained, wait for its turn, and submit its release.

While the step waits it is a dispatcher of the model, beside others that may run: whoever claims the turn submits. Where another
dispatcher took the candidate, the step returns what became of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tfcanary import adapters
from tfcanary.act import ledger, queue
from tfcanary.core import codec
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan, seconds
from tfcanary.core.record import Record, Waiting
from tfcanary.run.submit import check_image
from tfcanary.run.trigger import offer, uris, watching
from tfcanary.run.trigger.dispatch import Dispatcher
from tfcanary.run.trigger.settings import Target, check_plan_size
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness

LOOK = 15.0
"""Seconds between two looks whether the candidate's turn has come: a release takes hours."""
SETTLE = seconds(60)
"""How long a version without a marker must stay unchanged, where it was not exported by the run itself."""
SUBMITTED, WAITING, NOTHING_NEW, GONE = "submitted", "waiting", "nothing new", "gone"

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the candidate: a word for a gate, a sentence for people, and the address of its pipeline's run."""

    word: str
    """`submitted`, `waiting` (it stays in the list), `replaced`, `refused`, `late`, or `gone` (it was offered long before); for a folder also
    `nothing new`."""
    reason: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """The arguments of the step that are about its candidate."""

    model_uri: str
    model_name: str
    run_id: str
    wait: str
    newest: bool = False
    """Whether `model_uri` is a folder of versions, of which the newest complete one is offered."""
    complete: str = ""
    """With `newest`: the object that is written last into a version."""


def take(request: Offer, plan: Mapping[str, Any], target: Target) -> Outcome:
    """Offer the candidate, wait for its turn as long as the offer says, and submit its release.

    Raises Refused where an argument is wrong, Unavailable where nothing could be offered.
    """
    decoded: Plan = codec.decode(Plan, plan, at="plan")
    wait: timedelta = codec.decode(timedelta, request.wait, at="wait")
    if target.platform.startswith("kube://") and not target.host:
        raise Refused("host: is missing; a release that runs in this step's pod would end with it; name the Kubeflow Pipelines endpoint")
    if target.host:
        check_plan_size(uris.normalise(request.model_uri), request.model_name, target.platform, decoded)
    if target.platform.startswith("kube://") and not target.image:
        # The package names an image that no registry has; the step's own one has the very tfcanary that submits.
        target = replace(target, image=adapters.own_image(target.platform))
    if target.host:
        check_image(target.image, at="image")
    platform = adapters.open_platform(target.platform, request.model_name, decoded)
    folder = watching.Folder(uris.normalise(request.model_uri), decoded, Completeness(request.complete, SETTLE))
    others = Completeness(request.complete, SETTLE)
    dispatcher = Dispatcher(platform, decoded, target, Counts(), others.is_complete_uri)
    # A version that the run has exported has the run's identity, so that a step that runs again offers the same candidate.
    event = queue.identity("run", f"{request.run_id}\0{folder.uri}")
    run = "" if decoded.training_run else request.run_id
    candidate = _newest(folder, dispatcher) if request.newest else Waiting(event, folder.uri, platform.clock.now(), training_run=run)
    if candidate is None:
        return Outcome(NOTHING_NEW, f"there is no complete version in {folder.uri}")
    if not request.newest:
        dispatcher.is_complete = lambda uri: uri == candidate.model_uri or others.is_complete_uri(uri)
    offered = offer.offer(platform, candidate, decoded)
    if request.newest and offered.answer is not queue.Answer.WAITING and fate(ledger.read(platform), candidate).word != WAITING:
        return Outcome(NOTHING_NEW, offered.reason)
    return _wait_for_turn(dispatcher, candidate, wait)


def _newest(folder: watching.Folder, dispatcher: Dispatcher) -> Waiting | None:
    """The newest complete version; without a marker two looks are needed to know that a version no longer changes."""
    candidate = watching.newest(folder, dispatcher.platform)
    if candidate is None and not folder.completeness.marker:
        dispatcher.platform.clock.sleep(SETTLE.total_seconds() + 1)
        candidate = watching.newest(folder, dispatcher.platform)
    return candidate


def _wait_for_turn(dispatcher: Dispatcher, candidate: Waiting, wait: timedelta) -> Outcome:
    clock, logged = dispatcher.platform.clock, ""
    until = clock.now() + wait
    while True:
        try:
            dispatcher.look()
            outcome = fate(ledger.read(dispatcher.platform), candidate)
        except Unavailable as error:
            outcome = Outcome(WAITING, str(error))
        if outcome.reason != logged:
            log.info("%s: %s", outcome.word, outcome.reason)
            logged = outcome.reason
        if outcome.word != WAITING or clock.now() >= until:
            return outcome
        clock.sleep(LOOK)


def fate(record: Record, candidate: Waiting) -> Outcome:
    """Return what the record says about a candidate that was offered."""
    uri, event = candidate.model_uri, candidate.event
    for call in (record.called, record.latest):
        if call and call.candidate.event == event and (call.page or call is record.latest):
            return Outcome(SUBMITTED, f"{uri} was submitted", call.page)
    if record.called and record.called.candidate.event == event:
        return Outcome(WAITING, f"{uri} was claimed by another dispatcher, which has not submitted it yet")
    if dropped := next((one for one in record.dropped if one.candidate.event == event), None):
        return Outcome(dropped.fate.value, dropped.reason)
    if any(one.event == event for one in record.waiting):
        return Outcome(WAITING, f"{uri} waits: {_why_waiting(record)}")
    return Outcome(GONE, f"{uri} was offered before, and others have been released since; the history says what was released")


def _why_waiting(record: Record) -> str:
    if release := record.active:
        return f"release {release.run_id} is active"
    if record.called:
        return f"{record.called.candidate.model_uri} was claimed before it"
    return "others are ahead of it, or it is not complete yet"
