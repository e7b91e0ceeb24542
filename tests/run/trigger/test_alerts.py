"""Alertmanager's webhook: the alert that fires ends the release that it is about, and no other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.act.conftest import deployed, held_by_the_dead, model, pushed
from tests.conftest import QUICK
from tests.fakes import World
from tests.run.trigger.conftest import Client, Site, document, serving_on, until
from tfcanary.act import ledger
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion
from tfcanary.core.plan import Plan
from tfcanary.core.record import State

__all__ = ["deployed", "model", "pushed"]

PLAN: Plan = codec.decode(Plan, QUICK)


def call(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As Alertmanager 0.27 sends it."""
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "tfcanary",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
        **more,
    }


def alert(world: World, after: float = 60.0, status: str = "firing", **labels: Any) -> dict[str, Any]:
    """One that began so many seconds after the world's present."""
    began = world.clock.now() + timedelta(seconds=after)
    labels = {"alertname": "ErrorsHigh", "model": "digits"} | labels
    return {
        "status": status,
        "labels": {key: value for key, value in labels.items() if value is not None},
        "annotations": {},
        "startsAt": began.isoformat().replace("+00:00", ".123456789Z"),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "0123456789abcdef",
    }


@pytest.fixture
def both(site: Site) -> dict[str, str]:
    """A release of each model is active."""
    runs = {"digits": "run-d", "faces": "run-f"}
    for name, run in runs.items():
        ledger.begin(site.worlds[name].platform(name), PLAN, run)
    return runs


def state(site: Site, name: str) -> State:
    found: State = site.record(name).release.state
    return found


def test_an_alert_ends_the_release_of_its_model_and_no_other(site: Site, server: Client, both: dict[str, str]) -> None:
    for _ in range(2):
        status, answer = server.post("/alerts", call(alert(site.worlds["digits"])))
        assert status == 200
    assert answer["results"][0]["result"] == "ignored", "it is over"
    assert state(site, "digits").ended
    assert site.record().release.reason.startswith("alert ErrorsHigh fires since 2026-01-31 12:01:00 UTC")
    assert state(site, "faces") is State.OPEN


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "resolved"}, "is resolved"),
        ({"after": -1.0}, "began after ErrorsHigh did"),
        ({"model": "cats"}, "none of our models"),
        ({"model": None}, "none of our models"),
        ({"model": ["digits"]}, "none of our models"),
        ({"run_id": "run-1"}, "is about another release than run-d"),
    ],
)
def test_an_alert_that_does_not_mean_this_release_does_nothing(
    site: Site, server: Client, both: dict[str, str], change: dict[str, Any], why: str
) -> None:
    before = site.record()
    status, answer = server.post("/alerts", call(alert(site.worlds["digits"], **change)))
    assert (status, answer["results"][0]["result"]) == (200, "ignored")
    assert why in answer["results"][0]["reason"]
    assert site.record() == before


def test_an_alert_may_name_the_run(site: Site, server: Client, both: dict[str, str]) -> None:
    server.post("/alerts", call(alert(site.worlds["digits"], run_id="run-d")))
    assert state(site, "digits").ended


def test_one_call_may_hold_alerts_of_several_models(site: Site, server: Client, both: dict[str, str]) -> None:
    _, answer = server.post("/alerts", call(*(alert(site.worlds[name], model=name) for name in both)))
    assert [one["result"] for one in answer["results"]] == ["rolled back", "rolled back"]
    assert (state(site, "digits").ended, state(site, "faces").ended) == (True, True)


def test_a_name_that_cannot_be_written_into_the_record_is_left_out(site: Site, server: Client, both: dict[str, str]) -> None:
    server.post("/alerts", call(alert(site.worlds["digits"], alertname="<b>{{x}}</b>$(id)\n")))
    assert site.record().release.reason.startswith("alert an alert fires since")
    assert codec.loads(type(site.record()), codec.dumps(site.record())) == site.record()


def test_a_call_that_is_none_of_version_four_is_refused_whole(site: Site, server: Client, both: dict[str, str]) -> None:
    good = alert(site.worlds["digits"])
    broken: list[Any] = [
        call(good, version="3"),
        {"alerts": [good]},
        call(good, alerts={}),
        call(good, {**good, "startsAt": "today"}),
        call(good, {**good, "startsAt": "0001-01-01T00:00:00+14:00"}),
        call(good, {**good, "status": "burning"}),
        call(good, {**good, "labels": None}),
        call(good, 5),  # type: ignore[arg-type]
        call(*[good] * 201),
        [good],
    ]
    for said in broken:
        status, answer = server.post("/alerts", said)
        assert status == 400, answer
    assert state(site, "digits") is State.OPEN


def test_without_a_zone_a_time_is_refused(site: Site, server: Client, both: dict[str, str]) -> None:
    said = call({**alert(site.worlds["digits"]), "startsAt": "2026-01-31T13:00:00"})
    assert server.post("/alerts", said)[0] == 400


def test_alerts_can_be_switched_off(site: Site, both: dict[str, str], tmp_path: Path) -> None:
    with serving_on(tmp_path, document(alerts=False)) as server:
        assert server.post("/alerts", call(alert(site.worlds["digits"])))[0] == 404
    assert state(site, "digits") is State.OPEN


@pytest.fixture
def running(world: World, deployed: ModelVersion, site: Site) -> World:
    """A canary with traffic, in the place of the first model's world."""
    platform = world.platform()
    held_by_the_dead(platform, "watch", 0)
    site.worlds["digits"] = world
    return world


def test_a_canary_with_traffic_loses_it(running: World, site: Site, server: Client) -> None:
    assert running.weight > 0
    server.post("/alerts", call(alert(running)))
    until(lambda: running.weight == 0)
    assert state(site, "digits") is State.ROLLED_BACK
    assert "alert ErrorsHigh" in site.record().release.reason
