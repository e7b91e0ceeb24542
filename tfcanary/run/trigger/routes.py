"""Whose version an event is about, and whether it may be released: the only way from an event to a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tfcanary.act import queue
from tfcanary.core.errors import Refused
from tfcanary.core.record import Waiting
from tfcanary.run.trigger import uris
from tfcanary.run.trigger.events import Event
from tfcanary.run.trigger.settings import Source

MODEL_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel, and that completes a version where no marker does."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that is about something else, and the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate of one of the settings' models."""

    model: str
    waiting: Waiting


def of_event(event: Event, models: Mapping[str, Source], now: datetime) -> Candidate | Ignored:
    """Return the candidate that an event announces, or why it announces none.

    Raises Refused where the event names one of `models` and a version outside of that model's exports.
    """
    if event.object_uri:
        return _of_object(event, models, now)
    if not event.model_uri:
        return Ignored(f"an event of type {event.kind[:80]!r} names no version")
    if event.model:
        if event.model not in models:
            return Ignored(f"{event.model[:80]!r} is none of our models")
        return of_version(event.model, models[event.model], event, now)
    owner = _owner(event.model_uri, models)
    return of_version(owner, models[owner], event, now) if owner else Ignored(_why_nobodys("version", event.model_uri))


def of_version(model: str, source: Source, event: Event, now: datetime) -> Candidate:
    """Return the candidate of one model; raises Refused where its URI is none, or lies outside of the model's exports."""
    uri = uris.normalise(event.model_uri)
    if not uris.is_below(uri, source.exports):
        raise Refused(f"model_uri {uri!r}: does not lie below the exports of {model}")
    # An event with a time in the future would win against every later candidate.
    since = min(event.time or now, now)
    return Candidate(model, Waiting(queue.identity(event.source, event.id), uri, since, event.commit, event.training_run))


def _of_object(event: Event, models: Mapping[str, Source], now: datetime) -> Candidate | Ignored:
    """An object that was written is a candidate where it is the object that completes a version."""
    owner = _owner(event.object_uri, models)
    if not owner:
        return Ignored(_why_nobodys("object", event.object_uri))
    source = models[owner]
    folder, *names = uris.parts_below(uris.normalise(event.object_uri), source.exports)
    marker = source.complete or MODEL_FILE
    if names != [marker]:
        return Ignored(f"the object is not the {marker} of a version of {owner}")
    return of_version(owner, source, replace(event, object_uri="", model_uri=f"{source.exports}/{folder}", model=""), now)


def _why_nobodys(what: str, uri: str) -> str:
    """Why an object or a version is about none of the models: its URI has a name that is never taken, or lies elsewhere."""
    try:
        uris.normalise(uri)
    except Refused as error:
        return f"the {what} is about none of our models: {error}"
    return f"the {what} lies in the exports of none of our models"


def _owner(uri: str, models: Mapping[str, Source]) -> str:
    """The model below whose exports a URI lies; empty where there is none, or where the URI is not plain."""
    try:
        plain = uris.normalise(uri)
    except Refused:
        return ""
    return next((name for name, source in models.items() if uris.is_below(plain, source.exports)), "")
