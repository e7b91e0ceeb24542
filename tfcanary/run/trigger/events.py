"""What an event says: each format in which somebody tells of a new version, read into one value.

CloudEvents (structured, binary, batch) are read by the `cloudevents` library. Inside them, or bare, are Cloud Storage's and
Pub/Sub's own documents. Nothing is looked up here, and nothing believed: whose version it is, `routes` says.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tfcanary.core.errors import Refused

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
FINALIZED = "google.cloud.storage.object.v1.finalized"
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
MOST = 100
"""Events of one batch: each may cost a write of a record."""
LONGEST = 1024
"""Characters of an id, a source, a type and a name."""
URIS = ("model_uri", "modelUri", "storageUri", "storage_uri")
"""Under which of these names an event's data may have the version's URI."""
MODELS = ("model_name", "modelName", "model")
"""And the model's name, where it has one."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """One event. It names an object that was written, or a version; where neither, it is about something else."""

    source: str
    id: str
    kind: str
    """Its type, for people."""
    time: datetime | None = None
    object_uri: str = ""
    model_uri: str = ""
    model: str = ""
    """The model's name, where the event has one."""


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request's headers, in lower case, and its body."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """Without parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()


def read(message: Message) -> tuple[Told, ...]:
    """The events of a request; raises Refused, with one sentence, where it has none that can be read."""
    if message.content_type == BATCH:
        return _batch(document(message.body))
    if message.content_type == STRUCTURED:
        return (_cloud_event(document(message.body)),)
    if any(name.startswith("ce-") for name in message.headers):
        return (_binary(message),)
    said = _object(document(message.body), "body")
    if "specversion" in said:
        return (_cloud_event(said),)
    if "message" in said:
        return (_pushed(said, "Pub/Sub push"),)
    raise Refused("body: is no CloudEvent and no Pub/Sub push; a candidate alone goes to /models/<name>/candidates")


def document(body: bytes) -> Any:
    """A JSON document; raises Refused where it is none, is nested too deeply, or has numbers that are none."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise Refused("body: is nested too deeply") from None
    except ValueError as error:
        raise Refused(f"body: is not JSON ({str(error)[:80]!r})") from None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _batch(said: Any) -> tuple[Told, ...]:
    if not isinstance(said, list) or len(said) > MOST:
        raise Refused(f"body: a batch is a list of at most {MOST} events")
    return tuple(_cloud_event(one) for one in said)


def _binary(message: Message) -> Told:
    from cloudevents.core.bindings.http import HTTPMessage, from_binary
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    known = {name.removeprefix("ce-"): value for name, value in message.headers.items() if name.startswith("ce-")}
    _check_attributes(known)
    headers = {name: value for name, value in message.headers.items() if name.startswith("ce-") or name == "content-type"}
    event = _parsed(lambda: from_binary(HTTPMessage(headers, message.body), JSONFormat(), CloudEvent))
    return _told(event)


def _cloud_event(said: Any) -> Told:
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    _check_attributes(_object(said, "event"))
    return _told(_parsed(lambda: JSONFormat().read(CloudEvent, json.dumps(said))))


def _check_attributes(said: Json) -> None:
    """The library would make up an id that is missing; then no repetition would be known again."""
    for name in ("id", "source", "type"):
        _text(said, name, "event", required=True)


def _parsed(parse: Any) -> Any:
    from cloudevents.core.exceptions import BaseCloudEventException

    try:
        return parse()
    except RecursionError:
        raise Refused("body: is nested too deeply") from None
    except (BaseCloudEventException, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise Refused(f"event: is no CloudEvent 1.0 ({' '.join(str(error).split())[:160]!r})") from None


def _told(event: Any) -> Told:
    kind, data = event.get_type(), event.get_data()
    if kind == PUBLISHED:
        return _pushed(_object(data, "data"), event.get_source())
    time = event.get_time()
    told = Told(event.get_source(), event.get_id(), kind, None if time is None else instant(time, "time"))
    if kind == FINALIZED:
        said = _object(data, "data")
        return _of_object(told, _text(said, "bucket", "data", required=True), _text(said, "name", "data", required=True))
    if kind.startswith("google.cloud.storage.") or not isinstance(data, Mapping):
        return told
    return _of_version(told, data)


def _of_object(told: Told, bucket: str, name: str) -> Told:
    return Told(told.source, told.id, told.kind, told.time, object_uri=f"gs://{bucket}/{name}")


def _of_version(told: Told, data: Json) -> Told:
    """A registry's or a pipeline's own event: the version's URI under one of the usual names, and perhaps the model's."""
    uri = next((_text(data, key, "data", required=True) for key in URIS if key in data), "")
    model = next((_text(data, key, "data") for key in MODELS if isinstance(data.get(key), str)), "")
    return Told(told.source, told.id, told.kind, told.time, model_uri=uri, model=model)


def _pushed(said: Json, source: str) -> Told:
    """A Pub/Sub message: a notification of Cloud Storage, or somebody's own document about a version."""
    message = _object(said.get("message"), "message")
    attributes = _object(message.get("attributes") or {}, "message.attributes")
    subscription = _text(said, "subscription", "body") or source
    id = _text(message, "messageId", "message") or _text(message, "message_id", "message")
    if not id:
        raise Refused("message.messageId: is missing; without it no repetition would be known again")
    kind = _text(attributes, "eventType", "message.attributes")
    told = Told(subscription, id, kind or "Pub/Sub message", _published(message))
    if kind == "OBJECT_FINALIZE":
        bucket, name = (_text(attributes, key, "message.attributes", required=True) for key in ("bucketId", "objectId"))
        return _of_object(told, bucket, name)
    if kind:
        return told
    data = _decoded(message)
    return _of_version(told, data) if isinstance(data, Mapping) else told


def _decoded(message: Json) -> Any:
    try:
        body = base64.b64decode(_text(message, "data", "message", longest=1 << 19), validate=True)
    except ValueError:
        raise Refused("message.data: is not base64") from None
    return document(body) if body else None


def _object(value: Any, at: str) -> Json:
    if not isinstance(value, Mapping):
        raise Refused(f"{at}: is no JSON object")
    return value


def _text(said: Json, key: str, at: str, required: bool = False, longest: int = LONGEST) -> str:
    value = said.get(key, "")
    if not isinstance(value, str) or len(value) > longest:
        raise Refused(f"{at}.{key}: is no text of at most {longest} characters")
    if required and not value:
        raise Refused(f"{at}.{key}: is missing")
    return value


def _published(message: Json) -> datetime | None:
    said = message.get("publishTime") or message.get("publish_time")
    return None if said is None else instant(said, "message.publishTime")


def instant(value: Any, at: str) -> datetime:
    """A time of RFC 3339, or one that was parsed, in UTC; raises Refused where it is none, has no zone, or none exists there."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError("no zone")
        return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"{at}: is no time such as 2026-01-31T12:00:00Z") from None
