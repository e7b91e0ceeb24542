"""A server over real HTTP on this machine, whose platform, buckets and pipelines are in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import QUICK
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tests.run.trigger.pipelines import Pipelines
from tfcanary import adapters
from tfcanary.run.submit import handle
from tfcanary.run.trigger import serving, settings, versions
from tfcanary.run.trigger.events import STRUCTURED

TOKEN = "a-token-of-the-tests-0123"
EXPORTS = {"digits": "gs://exports/digits", "faces": "gs://exports/faces"}
STRUCTURE = {"content_type": STRUCTURED}
BOUNDED = 30.0
"""Seconds until a test gives up waiting."""


def until(true: Callable[[], Any], what: str = "it did not happen") -> Any:
    """What `true` returns, once it is true."""
    deadline = time.monotonic() + BOUNDED
    while not (found := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


@dataclass
class Site:
    """Two models, each in a world of its own; the pipelines that were submitted; the buckets of exports."""

    worlds: dict[str, World]
    pipelines: Pipelines
    buckets: dict[str, FakeStorage] = field(default_factory=dict)

    def bucket(self, uri: str) -> FakeStorage:
        return self.buckets.setdefault(uri, FakeStorage())

    def export(self, version: object, model: str = "digits", marker: str = "_SUCCESS") -> str:
        """A complete version; returns its URI."""
        for name in ("variables/variables.index", "saved_model.pb", marker):
            self.bucket(EXPORTS[model]).write(f"{version}/{name}", f"{version} {name}".encode())
        return f"{EXPORTS[model]}/{version}"

    def record(self, model: str = "digits") -> Any:
        stored = self.worlds[model].records.stored
        assert stored is not None
        return stored.record

    def end(self) -> None:
        """The last run ends, once its release stands in the record."""
        self.pipelines.runs[-1].end()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    worlds = {}
    for model in EXPORTS:
        worlds[model] = World(rate=0)
        worlds[model].has_stable()
        stored = worlds[model].records.stored
        assert stored is not None
        worlds[model].records.stored = replace(stored, record=replace(stored.record, model=model))
    made = Site(worlds, Pipelines(worlds))
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: worlds[model].platform(model))
    monkeypatch.setattr(versions, "open_storage", made.bucket)
    monkeypatch.setattr(handle, "start", made.pipelines.start)
    return made


def document(**more: Any) -> dict[str, Any]:
    """Settings as a file has them."""
    models = {name: {"exports": uri, "plan": QUICK, "complete": "_SUCCESS"} for name, uri in EXPORTS.items()}
    return {"platform": "fake://", "every": "1s", "auth": {"token_file": "token"}, "models": models, **more}


@dataclass
class Client:
    """Asks one server."""

    port: int
    token: str = TOKEN

    def ask(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON; an answer that is neither is a defect."""
        status, text = self.raw(method, path, body, **headers)
        return status, json.loads(text)

    def raw(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=BOUNDED)
        given = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {name: value for name, value in given.items() if value})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def post(self, path: str, said: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        return self.ask("POST", path, json.dumps(said), **headers)

    def offer(self, uri: str, model: str = "digits", **more: Any) -> tuple[int, dict[str, Any]]:
        return self.post(f"/models/{model}/candidates", {"model_uri": uri, **more})


@contextmanager
def serving_on(folder: Path, said: dict[str, Any]) -> Iterator[Client]:
    """A server with these settings, until the block ends."""
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "trigger.yaml").write_text(json.dumps(said))
    trigger = serving.set_up(settings.read(folder / "trigger.yaml"), "127.0.0.1", 0)
    thread = threading.Thread(target=trigger.run, name="server")
    thread.start()
    client = Client(trigger.port)
    try:
        until(lambda: trigger.server.started)
        yield client
    finally:
        trigger.stop()
        thread.join(BOUNDED)
        assert not thread.is_alive(), "the server did not end"


@pytest.fixture
def server(site: Site, tmp_path: Path) -> Iterator[Client]:
    with serving_on(tmp_path, document()) as client:
        yield client


def finalized(name: str, id: str = "", bucket: str = "exports", **more: Any) -> dict[str, Any]:
    """Cloud Storage's event of an object that was written, as Eventarc delivers it."""
    return {
        "specversion": "1.0",
        "id": id or f"id-{name}",
        "source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "type": "google.cloud.storage.object.v1.finalized",
        "time": "2026-01-31T11:00:00Z",
        "datacontenttype": "application/json",
        "data": {"bucket": bucket, "name": name, "generation": "1"},
        **more,
    }


def pushed(name: str, id: str, kind: str = "OBJECT_FINALIZE") -> dict[str, Any]:
    """Cloud Storage's notification, as a Pub/Sub push subscription delivers it."""
    attributes = {"eventType": kind, "bucketId": "exports", "objectId": name, "payloadFormat": "NONE"}
    message = {"attributes": attributes, "messageId": id, "publishTime": "2026-01-31T11:00:00.123456789Z"}
    return {"message": message, "subscription": "projects/p/subscriptions/exports"}
