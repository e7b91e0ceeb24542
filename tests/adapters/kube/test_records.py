"""The record in a ConfigMap, against a real API server."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.adapters.kube.test_manifests import PLAN
from tests.adapters.local.conftest import a_release
from tfcanary import __version__
from tfcanary.adapters.kube import manifests, records
from tfcanary.adapters.kube.recorded_models import models_with_record
from tfcanary.adapters.kube.records import KubeRecords, event_object
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, EVENTS
from tfcanary.core.domain import Desired, ModelVersion, RunningPool, Traffic
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.record import SCHEMA, Beat, Ended, Event, Record, State

slow = pytest.mark.slow
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def record(**changed: object) -> Record:
    return replace(Record(model="m", writer=__version__), **changed)  # type: ignore[arg-type]


def beat(number: int) -> Beat:
    return Beat(number, number // 2, NOON, renewal="abc 4")


def bound(api: Api) -> KubeRecords:
    return KubeRecords(api, api, "m")


@slow
def test_there_is_no_record_before_the_first_release(api: Api) -> None:
    assert bound(api).read() is None
    assert models_with_record(api) == ()


@slow
def test_what_was_written_is_read(api: Api) -> None:
    written = record(stable=ModelVersion(3, "/models/m/3", "sha256:3"), release=a_release("run 1", desired=Desired(Traffic(canary=25))))
    generation = bound(api).swap(written, 0)
    stored = bound(api).read()
    assert stored is not None
    assert (stored.record, stored.generation) == (written, generation)
    assert models_with_record(api) == ("m",)


@slow
def test_a_write_over_an_older_generation_loses(api: Api) -> None:
    first = bound(api).swap(record(), 0)
    with pytest.raises(Conflict):
        bound(api).swap(record(release=a_release("loser")), 0)
    bound(api).swap(record(release=a_release("winner")), first)
    with pytest.raises(Conflict):
        bound(api).swap(record(release=a_release("loser")), first)
    stored = bound(api).read()
    assert stored is not None
    assert stored.record.release is not None
    assert (stored.record.release.run_id, stored.generation) == ("winner", first + 1)


@slow
def test_of_many_writers_one_wins_each_round(api: Api) -> None:
    def write(writer: int, generation: int) -> int | None:
        try:
            return bound(api).swap(record(release=a_release(f"writer {writer}")), generation)
        except Conflict:
            return None

    for generation in range(4):
        with ThreadPoolExecutor(8) as writers:
            won = [one for one in writers.map(write, range(8), [generation] * 8) if one is not None]
        assert won == [generation + 1]


@slow
def test_a_write_whose_answer_was_lost_has_won(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second try meets what the first has written."""
    first = bound(api).swap(record(), 0)
    patch = api.patch

    def twice(*arguments: Any) -> Any:
        patch(*arguments)
        return patch(*arguments)

    monkeypatch.setattr(api, "patch", twice)
    assert bound(api).swap(record(release=a_release("run 1")), first) == first + 1


@slow
def test_beats_make_nobody_lose_a_race_and_are_not_undone(api: Api) -> None:
    generation = bound(api).swap(record(release=a_release("run 1")), 0)
    beaten = bound(api).beat("run 1", beat(1))
    assert beaten.record.release is not None
    assert (beaten.record.release.beat, beaten.generation) == (beat(1), generation)
    bound(api).beat("run 1", beat(2))
    stale = a_release("run 1", intent=7, beat=beat(1))
    bound(api).swap(record(release=stale), generation)
    stored = bound(api).read()
    assert stored is not None
    assert stored.record.release == replace(stale, beat=beat(2))


@slow
def test_a_beat_of_another_run_or_after_the_end_changes_no_release(api: Api) -> None:
    ended = a_release("run 1", state=State.PROMOTED, ended=NOON)
    bound(api).swap(record(release=ended), 0)
    assert bound(api).beat("run 1", beat(2)).record.release == ended
    assert bound(api).beat("run 0", beat(1)).record.release == ended


@slow
def test_a_beat_that_is_older_than_the_records_own_changes_nothing(api: Api) -> None:
    bound(api).swap(record(release=a_release("run 1", beat=beat(9))), 0)
    stands = bound(api).beat("run 1", beat(8)).record.release
    assert stands is not None
    assert stands.beat == beat(9)


@slow
def test_a_beat_without_a_record_is_refused(api: Api) -> None:
    with pytest.raises(Refused, match="tfcanary-m"):
        bound(api).beat("run 1", beat(1))
    assert bound(api).read() is None


@slow
def test_a_beat_is_one_call(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bound(api).swap(record(release=a_release("run 1")), 0)
    sent = []
    send = api._connection.send
    monkeypatch.setattr(api._connection, "send", lambda request: sent.append(request) or send(request))
    bound(api).beat("run 1", beat(1))
    assert len(sent) == 1


def config_map(labelled: bool = True, **data: str) -> dict[str, Any]:
    labels = {"tfcanary.dev/model": "m"} if labelled else {}
    metadata = {"name": "tfcanary-m", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@slow
@pytest.mark.parametrize(
    ("schema", "said"), [({}, "with no schema number"), ({"schema": 99}, "with schema 99"), ({"schema": "2"}, "with schema 2")]
)
def test_a_record_of_an_unknown_schema_is_refused_with_both_numbers(schema: dict[str, Any], said: str, api: Api) -> None:
    other = {"model": "m", "writer": "0.0.1", "release": {"state": "watched"}, "fields": "of another time", **schema}
    api.create(CONFIG_MAPS, config_map(generation="4", record=json.dumps(other)))
    with pytest.raises(Refused, match=rf"tfcanary 0\.0\.1 wrote this record {said}, and this tfcanary knows schema {SCHEMA}; use that"):
        bound(api).read()


@slow
def test_a_record_of_a_known_schema_is_read_whichever_version_wrote_it(api: Api) -> None:
    written = record(writer="0.0.1", release=a_release("run 1"))
    bound(api).swap(written, 0)
    stored = bound(api).read()
    assert stored is not None
    assert stored.record == written


@slow
def test_a_config_map_that_is_no_record_of_ours_is_refused(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map(labelled=False, generation="1", record="{}"))
    with pytest.raises(Refused, match="is no record of tfcanary's"):
        bound(api).read()
    with pytest.raises(Conflict):
        bound(api).swap(record(), 0)


KNOWN = json.dumps({"model": "m", "writer": "0", "schema": SCHEMA})


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"generation": "1"},
        {"generation": "x", "record": "{}"},
        {"generation": "1", "record": "5"},
        {"generation": "1", "record": "{"},
        {"generation": "1", "record": KNOWN, "guard": "5"},
        {"generation": "1", "record": KNOWN, "guard": '{"run_id": "r", "at": "noon"}'},
    ],
)
def test_a_record_that_is_none_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(Refused, match="ConfigMap tfcanary-m in namespace n: is no record"):
        bound(Api("n"))._stored(config_map(**data))


def test_a_record_that_would_not_fit_is_refused_by_its_size() -> None:
    line = Ended(run_id="r", state=State.PROMOTED, version=1, reason="x" * records.LARGEST, began=NOON, ended=NOON)
    with pytest.raises(Refused, match=r"the record has 1000\d\d\d bytes, at most 1000000 fit"):
        bound(Api("n")).swap(record(history=(line,)), 0)


def test_the_record_of_another_model_is_not_written() -> None:
    with pytest.raises(Refused, match="'other'"):
        bound(Api("n")).swap(record(model="other"), 0)


# Events


@slow
def test_what_happens_is_told_once_as_events(api: Api) -> None:
    writer = bound(api)
    release = a_release("run 1").happened(NOON, "validate: pass")
    generation = writer.swap(record(release=release), 0)
    release = release.happened(NOON, "stage 0: weight 5 %").happened(NOON, "weight 0: too many errors")
    other = bound(api)
    other.read()
    other.swap(record(release=release), generation)
    other.swap(record(release=replace(release, intent=9)), generation + 1)
    told = api.list(EVENTS)
    assert sorted((one["reason"], one["type"], one["message"]) for one in told) == [
        ("GatePassed", "Normal", "validate: pass"),
        ("RollingBack", "Warning", "weight 0: too many errors"),
        ("WeightChanged", "Normal", "stage 0: weight 5 %"),
    ]
    assert {one["involvedObject"]["name"] for one in told} == {"tfcanary-m"}


@slow
def test_who_describes_the_candidates_deployment_sees_why_it_goes(api: Api) -> None:
    version = ModelVersion(2, "/models/m/2", "sha256:2")
    made = api.apply(DEPLOYMENTS, manifests.deployment("m", RunningPool(version, least=0), PLAN))
    release = a_release("run 1", candidate=version)
    generation = bound(api).swap(record(release=release), 0)
    told = release.happened(NOON, "weight 0: too many errors")
    for writer in (bound(api), bound(api)):
        generation = writer.swap(record(release=told), generation)
    found = {one["involvedObject"]["kind"]: one for one in api.list(EVENTS) if one["reason"] == "RollingBack"}
    assert len([one for one in api.list(EVENTS) if one["reason"] == "RollingBack"]) == len(found) == 2
    assert found["Deployment"]["involvedObject"]["uid"] == made["metadata"]["uid"]
    assert found["Deployment"]["reportingComponent"] == "tfcanary"


@slow
def test_an_event_that_cannot_be_told_harms_nobody(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    silent = KubeRecords(api, Api("no-such-namespace", patience=0.1), "m")
    with caplog.at_level(logging.WARNING):
        assert silent.swap(record(release=a_release("run 1").happened(NOON, "promotion begins")), 0) == 1
    assert "no Event for what happened to m" in caplog.text


@pytest.mark.parametrize(
    ("what", "reason", "kind"),
    [
        ("stage 0: weight 5 %", "WeightChanged", "Normal"),
        ("weight 5 %", "WeightChanged", "Normal"),
        ("weight 0: the canary was left alone", "RollingBack", "Warning"),
        ("stage 1: advance: nothing is wrong", "StageEnded", "Normal"),
        ("stage 1: rollback: errors", "StageFailed", "Warning"),
        ("promotion begins", "Promoting", "Normal"),
        ("promoted: every margin excluded", "Promoted", "Normal"),
        ("rolled back: errors", "RolledBack", "Warning"),
        ("refused: savedmodel/ops", "Refused", "Warning"),
        ("drift-0: inconclusive", "GateFailed", "Warning"),
        ("not told: release.promoted: hooks.example did not take it", "NotTold", "Warning"),
        ("the world has drifted: input.x", "WorldDrifted", "Warning"),
        ("something else", "Noted", "Normal"),
    ],
)
def test_an_event_says_in_a_word_what_happened(what: str, reason: str, kind: str) -> None:
    about = {"metadata": {"name": "tfcanary-m", "namespace": "n", "uid": "u"}}
    told = event_object(Event(at=NOON, what=what), about)
    assert (told["reason"], told["type"], told["firstTimestamp"]) == (reason, kind, "2026-01-31T12:00:00Z")
    assert len(event_object(Event(at=NOON, what="x" * 5000), about)["message"]) == 1024
