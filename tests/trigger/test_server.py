"""The server over real HTTP: whatever arrives, however often and in whatever order, exactly the right releases are submitted."""

from __future__ import annotations

import base64
import gc
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.trigger.conftest import EXPORTS, Client, Site, document, finalized, serving_on, until
from tfcanary.errors import Refused, Unavailable
from tfcanary.record import Fate
from tfcanary.trigger import app
from tfcanary.trigger.events import BATCH, STRUCTURED

STRUCTURE = {"content_type": STRUCTURED}


def pushed(name: str, id: str, kind: str = "OBJECT_FINALIZE") -> dict[str, Any]:
    """Cloud Storage's notification, as a Pub/Sub push subscription delivers it."""
    attributes = {"eventType": kind, "bucketId": "exports", "objectId": name, "payloadFormat": "NONE"}
    message = {"attributes": attributes, "messageId": id, "publishTime": "2026-01-31T11:00:00.123456789Z"}
    return {"message": message, "subscription": "projects/p/subscriptions/exports"}


def test_every_way_to_tell_of_a_version_comes_to_the_same_release(site: Site, server: Client) -> None:
    site.export(7)
    assert server.post("/events", finalized("digits/7/_SUCCESS"), **STRUCTURE)[0] == 202
    until(lambda: site.pipelines.submitted)
    ways: list[tuple[Any, dict[str, str]]] = [
        (finalized("digits/7/_SUCCESS"), STRUCTURE),
        (finalized("digits/7/_SUCCESS", id="again"), {}),
        (pushed("digits/7/_SUCCESS", "1"), {}),
        ([finalized("digits/7/_SUCCESS"), finalized("digits/7/_SUCCESS", id="third")], {"content_type": BATCH}),
        (
            {"model_uri": f"{EXPORTS['digits']}/7"},
            {"ce_id": "b", "ce_source": "/registry", "ce_type": "model.ready", "ce_specversion": "1.0"},
        ),
    ]
    for said, headers in ways:
        status, answer = server.post("/events", said, **headers)
        assert (status, answer.get("result", "heard")) == (200, "heard"), (said, answer)
    assert server.offer(f"{EXPORTS['digits']}/7/")[0] == 200
    wrapped = finalized("", id="wrapped", type="google.cloud.pubsub.topic.v1.messagePublished", data=pushed("digits/7/_SUCCESS", "2"))
    assert server.post("/events", wrapped, **STRUCTURE)[0] == 200
    assert site.pipelines.versions() == ["7"]


def test_a_document_of_ones_own_in_a_pubsub_message_names_the_version(site: Site, server: Client) -> None:
    uri = site.export(3, "faces")
    data = base64.b64encode(json.dumps({"modelUri": uri, "modelName": "faces"}).encode()).decode()
    said = {"message": {"data": data, "messageId": "9"}, "subscription": "s"}
    assert server.post("/events", said)[0] == 202
    until(lambda: site.pipelines.versions("faces") == ["3"])


MALFORMED: list[tuple[bytes | str, dict[str, str]]] = [
    (b"", {}),
    (b"{", {}),
    (b"\xff\xfe", {}),
    (b"[]", {}),
    (b"null", {}),
    (b"[" * 100_000, {}),
    (b'{"a":' * 30_000, STRUCTURE),
    (b"1" * 5_000, {}),
    (b'{"specversion": NaN}', {}),
    (b"{}", STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", specversion="0.3")), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", specversion=1)), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", time="yesterday")), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", time="0001-01-01T00:00:00+14:00")), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", time=5)), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", source={"a": 1})), STRUCTURE),
    (json.dumps({k: v for k, v in finalized("digits/1/_SUCCESS").items() if k != "id"}), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", data=[])), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", data={"bucket": 5, "name": "x"})), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", data=None, data_base64="%%%")), STRUCTURE),
    (json.dumps([finalized("digits/1/_SUCCESS")] * 101), {"content_type": BATCH}),
    (json.dumps([5]), {"content_type": BATCH}),
    (json.dumps({"message": {"data": "%%%", "messageId": "1"}}), {}),
    (json.dumps({"message": {"attributes": 5, "messageId": "1"}}), {}),
    (json.dumps({"message": {"data": ""}}), {}),
    (json.dumps({"message": {"messageId": "1", "publishTime": "now"}}), {}),
    (b"{}", {"ce_id": "1", "ce_source": "s", "ce_specversion": "1.0"}),
    (b"{}", {"ce_id": "1", "ce_source": "s", "ce_type": "t", "ce_specversion": "1.0", "ce_time": "%ff"}),
    (json.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"model_uri": 5}}), STRUCTURE),
    (json.dumps({"specversion": "1.0", "id": "\ud800", "source": "s", "type": "t", "A B": 1}), STRUCTURE),
]


@pytest.mark.parametrize("path", ["/events", "/alerts", "/models/digits/candidates"])
def test_what_cannot_be_read_is_refused_with_one_sentence(site: Site, server: Client, path: str) -> None:
    before = site.record()
    for body, headers in MALFORMED:
        status, answer = server.ask("POST", path, body, **headers)
        assert 400 <= status < 500, (body[:80], status, answer)
        assert len(answer["error"]) < 400
        assert "\n" not in answer["error"]
    assert site.record() == before


@pytest.mark.parametrize(
    "uri",
    [
        "gs://exports/digits",
        "gs://exports/digits/",
        "gs://exports/digits/../faces/1",
        "gs://exports/digits/%2e%2e/faces/1",
        "gs://exports/digits/./1",
        "gs://exports/digits//1",
        "gs://exports/digits-2/1",
        "gs://exports/digits/1\\..\\2",
        "gs://exports/digits/1?x=1",
        "gs://exports/digits/$(id)",
        "gs://exports/digits/{{workflow.name}}",
        "gs://exports/digits/a b",
        "gs://exports/digits/\ud800",
        "gs://exports/digits/" + "1/" * 600,
        "gs://other/digits/1",
        "/etc/passwd",
        "file:///exports/digits/1",
        "https://exports/digits/1",
        "s3://exports/digits/1",
        "digits/1",
        "",
    ],
)
def test_a_version_must_lie_below_the_exports_of_its_model(site: Site, server: Client, uri: str) -> None:
    status, answer = server.offer(uri)
    assert status == 400, answer
    assert site.record().waiting == ()
    assert site.record().heard == ()


def test_what_is_about_something_else_is_ignored_and_it_says_why(site: Site, server: Client) -> None:
    for said, why in [
        (finalized("digits/7/saved_model.pb"), "is not the _SUCCESS of a version of digits"),
        (finalized("digits/7/deeper/_SUCCESS"), "is not the _SUCCESS"),
        (finalized("digits/_SUCCESS"), "is not the _SUCCESS"),
        (finalized("cats/7/_SUCCESS"), "none of our models"),
        (finalized("digits/../faces/7/_SUCCESS"), "none of our models"),
        (finalized("digits/7/_SUCCESS", type="google.cloud.storage.object.v1.deleted"), "names no version"),
        (finalized("digits/7/_SUCCESS", type="somebody.elses", data={"hello": "world"}), "names no version"),
        (finalized("x", type="model.ready", data={"model_uri": "gs://cats/1", "model_name": "cats"}), "'cats' is none of our models"),
    ]:
        status, answer = server.post("/events", said, **STRUCTURE)
        assert (status, answer["result"]) == (202, "ignored"), answer
        assert why in answer["reason"]
    assert server.post("/events", pushed("digits/7/_SUCCESS", "1", "OBJECT_DELETE"))[1]["result"] == "ignored"
    assert server.offer("gs://exports/cats/1", "cats")[0] == 404
    assert site.record().heard == ()


def storm(number: int, seed: int) -> list[tuple[bytes | str, dict[str, str]]]:
    """Duplicates, reordered and malformed events of versions 2 to `number`; each version is there at least once."""
    chance = random.Random(seed)
    told = [(json.dumps(finalized(f"digits/{n}/_SUCCESS")), STRUCTURE) for n in range(2, number + 1)]
    told += [(json.dumps(pushed(f"digits/{n}/_SUCCESS", f"p{n}")), {}) for n in range(2, number + 1)]
    told += [(json.dumps(finalized(f"cats/{n}/_SUCCESS")), STRUCTURE) for n in range(2, number + 1)]
    events = told + [chance.choice(told) for _ in range(1_000 - 2 * len(MALFORMED) - len(told))] + MALFORMED * 2
    chance.shuffle(events)
    return events


def test_a_thousand_events_that_are_repeated_reordered_and_broken_come_to_two_releases(
    site: Site, server: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The first is on the road meanwhile; of all the others only the newest follows."""
    caplog.set_level("ERROR")  # what pytest keeps of a log is no leak
    for n in range(1, 41):
        site.export(n)
    server.post("/events", finalized("digits/1/_SUCCESS"), **STRUCTURE)
    until(lambda: site.pipelines.versions() == ["1"])
    events = storm(40, seed=7)
    assert len(events) == 1_000

    def told(one: tuple[bytes | str, dict[str, str]]) -> int:
        return server.ask("POST", "/events", one[0], **one[1])[0]

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(told, events[:200]))
        gc.collect()
        threads, files, objects = threading.active_count(), len(os.listdir("/proc/self/fd")), len(gc.get_objects())
        answers += clients.map(told, events[200:])
        assert threading.active_count() <= threads + app.THREADS, "they are made when they are needed, and no more of them"
    assert set(answers) == {200, 202, 400}
    assert answers.count(400) == 2 * len(MALFORMED)
    gc.collect()
    until(lambda: len(os.listdir("/proc/self/fd")) <= files, "file descriptors are left open")
    assert len(gc.get_objects()) - objects < 20_000
    assert [one.model_uri for one in site.record().waiting] == [f"{EXPORTS['digits']}/40"]
    for _ in range(3):
        site.end()
        time.sleep(0.1)
        until(lambda: site.pipelines.versions() == ["1", "40"] and site.record().called is None)
    assert site.record().waiting == ()
    assert (site.pipelines.collisions, site.record("faces").heard) == (0, ())


def test_with_every_release_ending_at_once_the_order_holds_and_the_newest_is_last(site: Site, server: Client) -> None:
    for n in range(1, 41):
        site.export(n)
    over = threading.Event()

    def ends() -> None:
        while not over.wait(0.02):
            for run in tuple(site.pipelines.runs):
                if run.over is None:
                    run.end()

    ending = threading.Thread(target=ends)
    ending.start()
    try:
        with ThreadPoolExecutor(8) as clients:
            list(clients.map(lambda one: server.ask("POST", "/events", one[0], **one[1]), storm(40, seed=8)[:300]))
        server.post("/events", finalized("digits/40/_SUCCESS"), **STRUCTURE)
        until(lambda: "40" in site.pipelines.versions())
    finally:
        over.set()
        ending.join()
    released = [int(version) for version in site.pipelines.versions()]
    assert released == sorted(set(released))
    assert (released[-1], site.pipelines.collisions) == (40, 0)


def test_a_server_that_was_started_again_remembers_what_it_heard(site: Site, tmp_path: Path) -> None:
    for n in (7, 8):
        site.export(n)
    with serving_on(tmp_path, document()) as server:
        server.post("/events", finalized("digits/7/_SUCCESS"), **STRUCTURE)
        until(lambda: site.pipelines.versions() == ["7"])
        server.post("/events", finalized("digits/8/_SUCCESS"), **STRUCTURE)
    with serving_on(tmp_path, document()) as server:
        for n in (7, 8):
            assert server.post("/events", finalized(f"digits/{n}/_SUCCESS"), **STRUCTURE)[0] == 200
        site.end()
        until(lambda: site.pipelines.versions() == ["7", "8"])
    assert site.pipelines.collisions == 0


def test_two_servers_of_one_platform_submit_each_candidate_once(site: Site, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    with serving_on(tmp_path / "a", document()) as one, serving_on(tmp_path / "b", document()) as other:
        for n in range(1, 6):
            site.export(n)
            for server in (one, other):
                server.post("/events", finalized(f"digits/{n}/_SUCCESS"), **STRUCTURE)
            until(lambda n=n: site.pipelines.versions()[-1:] == [str(n)])  # type: ignore[misc]
            site.end()
    assert site.pipelines.versions() == ["1", "2", "3", "4", "5"]
    assert site.pipelines.collisions == 0


def test_a_candidate_that_is_refused_is_told_and_holds_up_nobody(site: Site, server: Client) -> None:
    site.pipelines.error = Refused("the host wants no {{more}}")
    server.offer(site.export(7))
    (dropped,) = until(lambda: site.record().dropped)
    assert dropped.fate is Fate.REFUSED
    site.pipelines.error = None
    server.offer(site.export(8))
    until(lambda: site.pipelines.versions() == ["8"])
    page = server.raw("GET", "/metrics")[1]
    assert 'tfcanary_trigger_candidates_total{fate="refused",model="digits"} 1.0' in page
    until(lambda: 'fate="submitted",model="digits"} 1.0' in server.raw("GET", "/metrics")[1])


def test_a_host_that_does_not_answer_costs_no_candidate_and_holds_up_no_other_model(site: Site, server: Client) -> None:
    site.pipelines.error = Unavailable("KFP at https://kfp.example cannot be reached")
    server.offer(site.export(7))
    until(lambda: site.record().heard and site.record().waiting and site.record().called is None)
    site.pipelines.error = None
    until(lambda: site.pipelines.versions() == ["7"])
    site.end()
    site.pipelines.waits = threading.Event()
    try:
        server.offer(site.export(8))
        until(lambda: site.record().called)
        status, _ = server.offer(site.export(9))
        assert status == 202, "a host that hangs does not hang the server"
    finally:
        site.pipelines.waits.set()
    until(lambda: site.pipelines.versions() == ["7", "8"])


def test_a_version_that_is_not_complete_waits_until_it_is(site: Site, server: Client) -> None:
    uri = f"{EXPORTS['digits']}/7"
    site.bucket(EXPORTS["digits"]).write("7/saved_model.pb", b"graph")
    assert server.offer(uri)[0] == 202
    time.sleep(0.2)
    assert site.pipelines.submitted == []
    site.bucket(EXPORTS["digits"]).write("7/_SUCCESS", b"")
    until(lambda: site.pipelines.versions() == ["7"])
