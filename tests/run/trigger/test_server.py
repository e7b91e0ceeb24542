"""The server over real HTTP: whatever arrives, however often and in whatever order, exactly the right releases are submitted."""

from __future__ import annotations

import base64
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import QUICK
from tests.run.trigger.conftest import EXPORTS, STRUCTURE, Client, Site, document, finalized, pushed, serving_on, until
from tests.run.trigger.malformed import MALFORMED
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.record import Fate
from tfcanary.run.trigger.events import BATCH


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
        "gs://exports/digits/a\u2028b",
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


def test_a_version_may_have_every_name_that_a_release_takes(site: Site, server: Client) -> None:
    for number, name in enumerate(("9 copy", "Größe (neu) & 50 %", "it's [1]"), 1):
        uri = site.export(name)
        assert server.offer(uri)[0] == 202
        until(lambda number=number: len(site.pipelines.submitted) == number)  # type: ignore[misc]
        assert site.pipelines.submitted[-1] == ("digits", uri)
        site.end()


def encoded(document: Any, alphabet: Any = base64.b64encode) -> str:
    return str(alphabet(json.dumps(document).encode()).decode())


NAMED = {"model_uri": "gs://exports/digits/7", "note": "??>>~~"}
OWN = {"specversion": "1.0", "id": "1", "source": "/registry", "type": "model.ready"}
PUSH = {"messageId": "1", "publishTime": "2026-01-31T12:00:00Z"}
UNWRAPPED = {
    "x_goog_pubsub_subscription_name": "projects/p/subscriptions/s",
    "x_goog_pubsub_message_id": "22",
    "x_goog_pubsub_publish_time": "2026-01-31T12:00:00.5Z",
}
STORED = {"eventtype": "OBJECT_FINALIZE", "bucketid": "exports", "objectid": "digits/7/_SUCCESS"}
SENT: dict[str, tuple[Any, dict[str, str]]] = {
    "data_base64": ({**OWN, "data_base64": encoded(NAMED)}, STRUCTURE),
    "data_base64 of a type": ({**OWN, "datacontenttype": "application/json", "data_base64": encoded(NAMED)}, STRUCTURE),
    "data_base64 of Cloud Storage": (
        {**finalized("digits/7/_SUCCESS", data=None), "data_base64": encoded({"bucket": "exports", "name": "digits/7/_SUCCESS"})},
        STRUCTURE,
    ),
    "a document as a text": ({**OWN, "data": json.dumps(NAMED)}, STRUCTURE),
    "web-safe base64": ({"message": {**PUSH, "data": encoded(NAMED, base64.urlsafe_b64encode)}}, {}),
    "base64 without padding": ({"message": {**PUSH, "data": encoded(NAMED).rstrip("=")}}, {}),
    "Pub/Sub unwrapped": ({"kind": "storage#object"}, {**UNWRAPPED, **STORED}),
    "Pub/Sub unwrapped, a document of one's own": (NAMED, UNWRAPPED),
}


@pytest.mark.parametrize("way", SENT)
def test_an_event_that_names_a_version_is_not_lost_however_it_is_wrapped(site: Site, server: Client, way: str) -> None:
    """Acknowledged and forgotten would be the worst: the sender sends nothing again, and nobody looks for the release."""
    site.export(7)
    said, headers = SENT[way]
    status, answer = server.post("/events", said, **headers)
    assert (status, answer["result"]) == (202, "waiting"), answer
    until(lambda: site.pipelines.versions() == ["7"])
    assert server.post("/events", said, **headers)[0] == 200, "and a repetition is known again"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({**OWN, "data_base64": base64.b64encode(b"no json").decode()}, "is not JSON"),
        ({**OWN, "data": '{"model_uri": '}, "is not JSON"),
        ({"Records": "all"}, "Records: a notification is a list of at most 100 events"),
        ({"Records": [{"eventName": "s3:ObjectCreated:Put"}]}, "Records[0].s3: is no JSON object"),
        (
            {"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {}}}]},
            "Records[0].s3.object.key: is missing",
        ),
    ],
)
def test_an_event_that_cannot_be_read_is_refused_with_the_reason(site: Site, server: Client, said: dict[str, Any], why: str) -> None:
    status, answer = server.post("/events", said)
    assert status == 400
    assert why in answer["error"]


def notification(key: str, name: str) -> dict[str, Any]:
    """As MinIO sends it."""
    written = {"key": key, "size": 0, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "17A1B2C3D4E5F600"}
    s3 = {"s3SchemaVersion": "1.0", "bucket": {"name": "exports", "arn": "arn:aws:s3:::exports"}, "object": written}
    record = {"eventVersion": "2.0", "eventSource": "minio:s3", "eventTime": "2026-01-31T12:00:00.000Z", "eventName": name, "s3": s3}
    return {"EventName": name, "Key": f"exports/{key}", "Records": [record]}


IN_S3 = {"digits": {"exports": "s3://exports/digits", "plan": QUICK, "complete": "_SUCCESS"}}


@pytest.mark.parametrize("name", ["s3:ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload"])
def test_a_notification_of_s3_about_the_object_that_completes_a_version_starts_its_release(site: Site, tmp_path: Path, name: str) -> None:
    for file in ("saved_model.pb", "_SUCCESS"):
        site.bucket("s3://exports/digits").write(f"7/{file}", b"")
    with serving_on(tmp_path, document(models=IN_S3)) as server:
        said = notification("digits%2F7%2F_SUCCESS", name)
        status, answer = server.post("/events", said)
        assert (status, answer["result"]) == (202, "waiting"), answer
        until(lambda: site.pipelines.versions() == ["7"])
        assert server.post("/events", said)[0] == 200, "and a repetition is known again"


def test_a_notification_of_s3_about_anything_else_is_ignored(site: Site, tmp_path: Path) -> None:
    with serving_on(tmp_path, document(models=IN_S3)) as server:
        for key, name in (
            ("digits%2F7%2Fsaved_model.pb", "s3:ObjectCreated:Put"),
            ("digits%2F7%2F_SUCCESS", "s3:ObjectRemoved:Delete"),
            ("faces%2F7%2F_SUCCESS", "s3:ObjectCreated:Put"),
            ("digits%2F..%2Fx%2F_SUCCESS", "s3:ObjectCreated:Put"),
            ("digits%2Fa%3Fb%2F_SUCCESS", "s3:ObjectCreated:Put"),
        ):
            status, answer = server.post("/events", notification(key, name))
            assert (status, answer["result"]) == (202, "ignored"), answer


def test_what_is_about_something_else_is_ignored_and_it_says_why(site: Site, server: Client) -> None:
    for said, why in [
        (finalized("digits/7/saved_model.pb"), "is not the _SUCCESS of a version of digits"),
        (finalized("digits/7/deeper/_SUCCESS"), "is not the _SUCCESS"),
        (finalized("digits/_SUCCESS"), "is not the _SUCCESS"),
        (finalized("cats/7/_SUCCESS"), "lies in the exports of none of our models"),
        (finalized("digits/$(id)/_SUCCESS"), "Argo and Kubernetes would expand"),
        ({**OWN, "id": "2", "data": {"model_uri": "gs://exports/digits/9?x"}}, "'9?x' is not taken"),
        ({**OWN, "id": "3", "datacontenttype": "image/png", "data_base64": "iVBORw0KGgo="}, "names no version"),
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
