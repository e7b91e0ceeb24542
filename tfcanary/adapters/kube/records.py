"""The record in a ConfigMap, compared and swapped by a generation of its own; what happens to a release is also shown as Events.

data.generation   "7"
data.record       JSON
data.guard        the guard's last beat and the run that it guards: a field of its own, so that no beat makes a writer lose a race
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any

from tfcanary.adapters.kube.ownership import is_ours
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, EVENTS, Resource
from tfcanary.adapters.record_checks import check_schema, with_beat
from tfcanary.core import codec
from tfcanary.core.domain import Pool
from tfcanary.core.errors import Conflict, Refused, TfcanaryError
from tfcanary.core.ports import Stored
from tfcanary.core.record import Beat, Event, Record

LARGEST = 1_000_000
"""Bytes of the largest record: a ConfigMap holds 1 MiB, its names and the beat included."""
LONGEST_MESSAGE = 1024
"""Characters of the longest message of an Event that the API server takes."""

REASONS = (
    (re.compile(r"weight 0: "), "RollingBack", "Warning"),
    (re.compile(r"rolled back: "), "RolledBack", "Warning"),
    (re.compile(r"refused: "), "Refused", "Warning"),
    (re.compile(r"promotion begins"), "Promoting", "Normal"),
    (re.compile(r"promoted: "), "Promoted", "Normal"),
    (re.compile(r"(stage \d+: )?weight \d+ %"), "WeightChanged", "Normal"),
    (re.compile(r"stage \d+: rollback: "), "StageFailed", "Warning"),
    (re.compile(r"stage \d+: "), "StageEnded", "Normal"),
    (re.compile(r"not told: "), "NotTold", "Warning"),
    (re.compile(r"the world has drifted: "), "WorldDrifted", "Warning"),
    (re.compile(r"\S+: (fail|inconclusive)$"), "GateFailed", "Warning"),
    (re.compile(r"\S+: (pass|warn)$"), "GatePassed", "Normal"),
)
"""What an entry of the record begins with, and the reason and the type of its Event."""
OF_THE_CANDIDATE = frozenset(
    {"WeightChanged", "StageEnded", "StageFailed", "RollingBack", "RolledBack", "Refused", "Promoting", "Promoted"}
)
"""The reasons whose Events are also written about the candidate's Deployment, while it exists: a person who looks at a Deployment
asks why it has traffic, or why it is removed."""

Json = dict[str, Any]
log = logging.getLogger("tfcanary.adapters.kubeclient")


class KubeRecords:
    """The record of one model. `events` is a connection for Events, with less patience: nobody waits for an Event."""

    def __init__(self, api: Api, events: Api, model: str) -> None:
        self._api = api
        self._events = events
        self._model = model
        self._name = object_names.record(model)
        self._at = f"ConfigMap {self._name} in namespace {api.namespace}"
        self._written_events: Mapping[str, int] = {}
        """How many entries of the release in the record have become Events already, by the release's run."""

    def read(self) -> Stored | None:
        """The record as it was last written, with the guard's newest beat. Raises Refused where its schema is unknown, or it is no record of ours."""
        found = self._api.get(CONFIG_MAPS, self._name)
        return self._stored(found) if found else None

    def swap(self, record: Record, generation: int) -> int:
        """Write over `generation` and return the new one. Raises Conflict where somebody wrote first, Refused for a record that is too large."""
        if record.model != self._model:
            raise Refused(f"record of {record.model!r}: {self._at} is the record of {self._model!r}")
        data = {"generation": str(generation + 1), "record": json.dumps(codec.encode(record), allow_nan=False)}
        size = len(data["record"].encode())
        if size > LARGEST:
            raise Refused(f"{self._at}: the record has {size} bytes, at most {LARGEST} fit")
        written = self._written(data, generation)
        self._write_events(record, written)
        return generation + 1

    def beat(self, run_id: str, beat: Beat) -> Stored:
        """Write the guard's beat and return the record as it stands, in one call. Raises Refused where there is no record."""
        text = json.dumps({"run_id": run_id, "beat": codec.encode(beat)})
        return self._stored(self._api.merge(CONFIG_MAPS, self._name, {"data": {"guard": text}}))

    def _written(self, data: Json, generation: int) -> Json:
        try:
            if generation == 0:
                metadata = {"name": self._name, "labels": object_names.labels(self._model, "record")}
                return self._api.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
            operations = [{"op": "test", "path": "/data/generation", "value": str(generation)}]
            operations += [{"op": "replace", "path": f"/data/{key}", "value": value} for key, value in data.items()]
            return self._api.patch(CONFIG_MAPS, self._name, operations)
        except Conflict:
            # Where the answer to a first try was lost, the second meets what the first has written.
            found = self._api.get(CONFIG_MAPS, self._name)
            if found and {**(found.get("data") or {}), **data} == found.get("data"):
                return found
            raise

    def _stored(self, found: Json) -> Stored:
        stored = stored_record(found, self._model, self._api.namespace)
        release = stored.record.release
        self._written_events = {release.run_id: len(release.events)} if release else {}
        return stored

    def _write_events(self, record: Record, written: Json) -> None:
        """Write Events for what is new in the record, as far as possible: Events are for convenience, the record has everything."""
        release = record.release
        if release is None:
            return
        known = self._written_events.get(release.run_id, 0)
        fresh = [(f"{release.run_id} {n}", event) for n, event in enumerate(release.events) if n >= known]
        self._written_events = {release.run_id: len(release.events)}
        of_the_candidate = [(which, event) for which, event in fresh if reason_and_type(event)[0] in OF_THE_CANDIDATE]
        try:
            self._create(CONFIG_MAPS, written, fresh)
            if of_the_candidate and release.candidate:
                found = self._events.get(DEPLOYMENTS, object_names.deployment(self._model, Pool(release.candidate.number)))
                self._create(DEPLOYMENTS, found, of_the_candidate)
        except TfcanaryError as error:
            log.warning("no Event for what happened to %s: %s", self._model, error)

    def _create(self, resource: Resource, about: Json | None, events: Sequence[tuple[str, Event]]) -> None:
        for which, event in events if about else ():
            # An Event's name is made of its text, so an Event that exists already has this text.
            with suppress(Conflict):
                self._events.create(EVENTS, event_object(event, about or {}, resource, which))


def stored_record(found: Json, model: str, namespace: str) -> Stored:
    """The record in a model's ConfigMap, with the guard's newest beat. Raises Refused where its schema is unknown, or it is no record of ours."""
    at, data = f"ConfigMap {object_names.record(model)} in namespace {namespace}", found.get("data") or {}
    if not is_ours(found, model):
        raise Refused(f"{at}: is no record of tfcanary's ({object_names.MODEL}={model} is not among its labels); rename it")
    try:
        generation, record = int(data["generation"]), dict(json.loads(data["record"]))
        check_schema(record, at)
        last = dict(json.loads(data["guard"])) if "guard" in data else None
        run_id, beat = (str(last["run_id"]), last["beat"]) if last else ("", None)
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{at}: is no record ({error!r})") from error
    decoded: Record = codec.decode(Record, record, at=at)
    if beat is not None:
        decoded = with_beat(decoded, run_id, codec.decode(Beat, beat, at=f"{at}, guard"))
    return Stored(record=decoded, generation=generation)


def reason_and_type(event: Event) -> tuple[str, str]:
    """The reason and the type of the Event for an entry of the record."""
    return next(((why, how) for begins, why, how in REASONS if begins.match(event.what)), ("Noted", "Normal"))


def event_object(event: Event, about: Json, resource: Resource = CONFIG_MAPS, which: str = "") -> Json:
    """The Event that `kubectl get events` shows for an entry of the record; `which` tells two entries with one text apart."""
    reason, kind = reason_and_type(event)
    metadata = about["metadata"]
    at = event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = hashlib.sha256(f"{metadata['uid']} {which} {at} {event.what}".encode()).hexdigest()[:16]
    involved = {"apiVersion": resource.api, "kind": resource.kind, **{key: metadata[key] for key in ("name", "namespace", "uid")}}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{name}", "namespace": metadata["namespace"]},
        "involvedObject": involved,
        "reason": reason,
        "message": event.what[:LONGEST_MESSAGE],
        "type": kind,
        "source": {"component": object_names.MANAGER},
        "reportingComponent": object_names.MANAGER,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
