"""Whose version an event is about, and whether it may be: the only way from an event to a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tfcanary.act import queue
from tfcanary.core.errors import Refused
from tfcanary.core.record import Waiting
from tfcanary.run.trigger import uris
from tfcanary.run.trigger.events import Told
from tfcanary.run.trigger.settings import Source

MODEL_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel, where nothing else says that it is complete."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that is about something else, and why it is."""

    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate of one of our models."""

    model: str
    waiting: Waiting


def of_event(told: Told, models: Mapping[str, Source], now: datetime) -> Candidate | Ignored:
    """What an event comes to. Raises Refused where it names a model of ours and a version that lies elsewhere."""
    if told.object_uri:
        return _of_object(told, models, now)
    if not told.model_uri:
        return Ignored(f"an event of type {told.kind[:80]!r} names no version")
    if told.model:
        if told.model not in models:
            return Ignored(f"{told.model[:80]!r} is none of our models")
        return of_version(told.model, models[told.model], told, now)
    owner = _owner(told.model_uri, models)
    return of_version(owner, models[owner], told, now) if owner else Ignored("the version lies in the exports of none of our models")


def of_version(model: str, source: Source, told: Told, now: datetime) -> Candidate:
    """A candidate of this model; raises Refused where its URI is none, or leads out of the model's exports."""
    uri = uris.normalised(told.model_uri)
    if not uris.is_below(uri, source.exports):
        raise Refused(f"model_uri {uri!r}: does not lie below the exports of {model}")
    # A time that is still to come would outdo every later candidate.
    since = min(told.time or now, now)
    return Candidate(model, Waiting(queue.identity(told.source, told.id), uri, since))


def _of_object(told: Told, models: Mapping[str, Source], now: datetime) -> Candidate | Ignored:
    """An object that was written: it counts where it is the one that completes a version."""
    owner = _owner(told.object_uri, models)
    if not owner:
        return Ignored("the object lies in the exports of none of our models")
    source = models[owner]
    folder, *names = uris.parts_below(uris.normalised(told.object_uri), source.exports)
    marker = source.complete or MODEL_FILE
    if names != [marker]:
        return Ignored(f"the object is not the {marker} of a version of {owner}")
    version = Told(told.source, told.id, told.kind, told.time, model_uri=f"{source.exports}/{folder}")
    return of_version(owner, source, version, now)


def _owner(uri: str, models: Mapping[str, Source]) -> str:
    """The model in whose exports it lies; none where it does not even look like a plain URI."""
    try:
        plain = uris.normalised(uri)
    except Refused:
        return ""
    return next((name for name, source in models.items() if uris.is_below(plain, source.exports)), "")
