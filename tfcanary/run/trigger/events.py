"""Events of new versions: each format in which a version is announced, read into one value.

The library `cloudevents` reads CloudEvents (structured, binary, batch). Inside them, or bare, are the documents of Cloud Storage and of
Pub/Sub, and the notifications of S3 and of the servers like it. Nothing is looked up here, and nothing is believed: `routes` decides whose version an event is about.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from tfcanary.core.errors import Refused

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
FINALIZED = "google.cloud.storage.object.v1.finalized"
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
UNWRAPPED = "x-goog-pubsub-"
"""The prefix of the headers of a Pub/Sub push without its wrapper: the body is the message's data, its attributes are headers."""
MOST = 100
"""Events of one batch: each may cost a write of a record."""
LONGEST = 1024
"""Characters of an id, a source, a type and a name."""
URI_KEYS = ("model_uri", "modelUri", "storageUri", "storage_uri")
"""The names under which an event's data may hold the version's URI."""
MODEL_KEYS = ("model_name", "modelName", "model")
"""The names under which an event's data may hold the model's name."""
COMMIT_KEYS = ("commit", "git_commit", "gitCommit")
"""The names under which an event's data may hold the commit of the training code."""
TRAINING_KEYS = ("training_run", "trainingRun")
"""The names under which an event's data may hold the run that trained the version."""
LONGEST_PROVENANCE = 200
"""Characters of a commit and of a training run: the record holds them for each candidate that waits."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One event. It names a written object or a version; an event that names neither is about something else."""

    source: str
    id: str
    kind: str
    """The event's type, for people."""
    time: datetime | None = None
    object_uri: str = ""
    model_uri: str = ""
    model: str = ""
    """The model's name, where the event has one."""
    commit: str = ""
    training_run: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """The headers of an HTTP request, with names in lower case, and its body."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """The content type in lower case, without its parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()


def read(message: Message) -> tuple[Event, ...]:
    """Read the events of a request; raises Refused, with one sentence, where it has none that can be read."""
    if message.content_type == BATCH:
        return _batch(parse_json(message.body))
    if message.content_type == STRUCTURED:
        return (_cloud_event(parse_json(message.body)),)
    if any(name.startswith("ce-") for name in message.headers):
        return (_binary(message),)
    if f"{UNWRAPPED}message-id" in message.headers:
        return (_pubsub_unwrapped(message),)
    body = _object(parse_json(message.body), "body")
    if "specversion" in body:
        return (_cloud_event(body),)
    if "message" in body:
        return (_pubsub_push(body, "Pub/Sub push"),)
    if "Records" in body:
        return _s3_notification(body["Records"])
    raise Refused("body: is no CloudEvent, no Pub/Sub push and no notification of S3; a candidate alone goes to /models/<name>/candidates")


def parse_json(body: bytes) -> Any:
    """Parse a JSON document; raises Refused where it is none, is nested too deeply, or holds NaN or an infinity."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise Refused("body: is nested too deeply") from None
    except ValueError as error:
        raise Refused(f"body: is not JSON ({str(error)[:80]!r})") from None


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _batch(events: Any) -> tuple[Event, ...]:
    if not isinstance(events, list) or len(events) > MOST:
        raise Refused(f"body: a batch is a list of at most {MOST} events")
    return tuple(_cloud_event(one) for one in events)


def _s3_notification(records: Any) -> tuple[Event, ...]:
    """The events of a notification as AWS's S3, MinIO and Ceph send it: one for each object."""
    if not isinstance(records, list) or len(records) > MOST:
        raise Refused(f"Records: a notification is a list of at most {MOST} events")
    return tuple(_s3_event(_object(record, f"Records[{number}]"), f"Records[{number}]") for number, record in enumerate(records))


def _s3_event(record: Json, at: str) -> Event:
    kind, s3 = _text(record, "eventName", at, required=True), _object(record.get("s3"), f"{at}.s3")
    bucket = _text(_object(s3.get("bucket"), f"{at}.s3.bucket"), "name", f"{at}.s3.bucket", required=True)
    written = _object(s3.get("object"), f"{at}.s3.object")
    # Keys come as in a query: a space is a plus.
    key = unquote_plus(_text(written, "key", f"{at}.s3.object", required=True))
    moment = record.get("eventTime")
    # A notification has no id. One that is sent again names the same write of the same object.
    id = ":".join([key, _text(written, "sequencer", f"{at}.s3.object"), _text(written, "eTag", f"{at}.s3.object"), str(moment)])
    event = Event(f"s3://{bucket}", id[-LONGEST:], kind, None if moment is None else parse_instant(moment, f"{at}.eventTime"))
    # AWS leaves the prefix `s3:` out.
    created = kind.removeprefix("s3:").startswith("ObjectCreated:")
    return replace(event, object_uri=f"s3://{bucket}/{key}") if created else event


def _binary(message: Message) -> Event:
    from cloudevents.core.bindings.http import HTTPMessage, from_binary
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    _check_attributes({name.removeprefix("ce-"): value for name, value in message.headers.items() if name.startswith("ce-")})
    headers = {name: value for name, value in message.headers.items() if name.startswith("ce-") or name == "content-type"}
    return _to_event(_parse_event(lambda: from_binary(HTTPMessage(headers, message.body), JSONFormat(), CloudEvent)))


def _cloud_event(document: Any) -> Event:
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    _check_attributes(_object(document, "event"))
    return _to_event(_parse_event(lambda: JSONFormat().read(CloudEvent, json.dumps(document))))


def _check_attributes(attributes: Json) -> None:
    """Raises Refused where a required attribute is missing: the library would make up an id, and no repetition could be recognised."""
    for name in ("id", "source", "type"):
        _text(attributes, name, "event", required=True)


def _parse_event(parse: Any) -> Any:
    from cloudevents.core.exceptions import BaseCloudEventException

    try:
        return parse()
    except RecursionError:
        raise Refused("body: is nested too deeply") from None
    except (BaseCloudEventException, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise Refused(f"event: is no CloudEvent 1.0 ({' '.join(str(error).split())[:160]!r})") from None


def _to_event(cloud_event: Any) -> Event:
    kind, data, time = cloud_event.get_type(), _json_data(cloud_event), cloud_event.get_time()
    if kind == PUBLISHED:
        return _pubsub_push(_object(data, "data"), cloud_event.get_source())
    event = Event(cloud_event.get_source(), cloud_event.get_id(), kind, None if time is None else parse_instant(time, "time"))
    if kind == FINALIZED:
        data = _object(data, "data")
        return _with_object(event, _text(data, "bucket", "data", required=True), _text(data, "name", "data", required=True))
    if kind.startswith("google.cloud.storage.") or not isinstance(data, Mapping):
        return event
    return _with_version(event, data)


def _json_data(cloud_event: Any) -> Any:
    """The data of an event that says, or does not deny, that its data are JSON: as a value, in whatever wrapping they came.

    `data_base64` comes as bytes. Some senders put a document into `data` as a text. Raises Refused where bytes are no JSON.
    """
    data, kind = cloud_event.get_data(), str(cloud_event.get_datacontenttype() or "application/json").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return data
    if isinstance(data, bytes):
        return parse_json(data) if data else None
    if isinstance(data, str) and data.lstrip().startswith("{"):
        return parse_json(data.encode("utf-8", "replace"))
    return data


def _with_object(event: Event, bucket: str, name: str) -> Event:
    return replace(event, object_uri=f"gs://{bucket}/{name}")


def _with_version(event: Event, data: Json) -> Event:
    """The event of a registry or a pipeline: its data holds the version's URI under one of URI_KEYS, and perhaps the model's name."""
    uri = next((_text(data, key, "data", required=True) for key in URI_KEYS if key in data), "")
    model = next((_text(data, key, "data") for key in MODEL_KEYS if isinstance(data.get(key), str)), "")
    return with_provenance(replace(event, model_uri=uri, model=model), data)


def with_provenance(event: Event, data: Json) -> Event:
    """The event with the commit and the training run that its data may hold. Raises Refused where one of them is too long."""
    commit, training_run = (
        next((_text(data, key, "data", longest=LONGEST_PROVENANCE) for key in keys if isinstance(data.get(key), str)), "")
        for keys in (COMMIT_KEYS, TRAINING_KEYS)
    )
    return replace(event, commit=commit, training_run=training_run)


def _pubsub_push(push: Json, source: str) -> Event:
    """A Pub/Sub message: a notification of Cloud Storage, or a document about a version."""
    message = _object(push.get("message"), "message")
    attributes = _object(message.get("attributes") or {}, "message.attributes")
    subscription = _text(push, "subscription", "body") or source
    id = _text(message, "messageId", "message") or _text(message, "message_id", "message")
    if not id:
        raise Refused("message.messageId: is missing; without it no repetition would be recognised")
    published = message.get("publishTime") or message.get("publish_time")
    time = None if published is None else parse_instant(published, "message.publishTime")
    return _from_pubsub(Event(subscription, id, "Pub/Sub message", time), attributes, lambda: _message_data(message))


def _pubsub_unwrapped(message: Message) -> Event:
    """A Pub/Sub message whose push subscription has "payload unwrapping" and "write metadata"."""
    headers = message.headers
    source, id = (_text(headers, f"{UNWRAPPED}{name}", "headers", required=True) for name in ("subscription-name", "message-id"))
    published = headers.get(f"{UNWRAPPED}publish-time")
    time = None if published is None else parse_instant(published, f"headers.{UNWRAPPED}publish-time")
    # HTTP knows no capitals in the names of headers.
    attributes = {name: headers[name.lower()] for name in ("eventType", "bucketId", "objectId") if name.lower() in headers}
    body = message.body
    return _from_pubsub(Event(source, id, "Pub/Sub message", time), attributes, lambda: parse_json(body) if body else None)


def _from_pubsub(event: Event, attributes: Json, read_data: Callable[[], Any]) -> Event:
    """What a message is about, by its attributes, or by its data where it has none of Cloud Storage's."""
    kind = _text(attributes, "eventType", "message.attributes")
    event = replace(event, kind=kind or event.kind)
    if kind == "OBJECT_FINALIZE":
        bucket, name = (_text(attributes, key, "message.attributes", required=True) for key in ("bucketId", "objectId"))
        return _with_object(event, bucket, name)
    if kind:
        return event
    data = read_data()
    return _with_version(event, data) if isinstance(data, Mapping) else event


def _message_data(message: Json) -> Any:
    text = _text(message, "data", "message", longest=1 << 19)
    # Both alphabets are taken, and the padding may be missing: other publishers write the one that is safe in a URL.
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        body = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise Refused("message.data: is not base64") from None
    return parse_json(body) if body else None


def _object(value: Any, at: str) -> Json:
    if not isinstance(value, Mapping):
        raise Refused(f"{at}: is no JSON object")
    return value


def _text(document: Json, key: str, at: str, required: bool = False, longest: int = LONGEST) -> str:
    value = document.get(key, "")
    if not isinstance(value, str) or len(value) > longest:
        raise Refused(f"{at}.{key}: is no text of at most {longest} characters")
    if required and not value:
        raise Refused(f"{at}.{key}: is missing")
    return value


def parse_instant(value: Any, at: str) -> datetime:
    """Return a time of RFC 3339, or a datetime, in UTC; raises Refused where it is none, has no zone, or is out of range in UTC."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError("no zone")
        return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"{at}: is no time such as 2026-01-31T12:00:00Z") from None
