"""What is exported of a release, in each state that it may have, and whatever it is called."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.act.conftest import RUN, at_last_stage, deployed, model, pushed
from tests.fakes import World
from tests.process import Behaviour
from tests.run.monitor.running import running, seen, value, values, watched
from tfcanary import __version__
from tfcanary.act import checkpoint, ledger, orders, promote, rollback
from tfcanary.core.domain import Decision, Evidence, Finding, Interval, ModelVersion, Pool, Verdict
from tfcanary.core.record import Ended, Record, State
from tfcanary.core.timeline import Timeline
from tfcanary.run import watch
from tfcanary.run.monitor import ModelReading, families, page
from tfcanary.run.monitor.families import LONGEST, MOST_CRITERIA, clean
from tfcanary.run.monitor.metric_table import LABELS, TABLE

__all__ = ["at_last_stage", "deployed", "model", "pushed"]

HOSTILE = ['"} 1\nup{job="', "a\nb", "x" * 10_240, "\\", "{{ $labels }}", "ä\0", "' or vector(1)"]


class Page:
    """A collector that knows its families already."""

    def __init__(self, *of: ModelReading) -> None:
        self.collect = lambda: families(of)


def text(*of: ModelReading) -> str:
    return page(Page(*of))  # type: ignore[arg-type]


def test_before_any_release_there_is_a_stable_version_and_nothing_else(world: World) -> None:
    found = values(seen(world))
    assert value(found, "tfcanary_stable_version", model="digits") == 1
    assert value(found, "tfcanary_track_info", track="stable", version="1") == 1
    assert value(found, "tfcanary_build_info", version=__version__) == 1
    assert value(found, "tfcanary_history_releases", outcome="promoted") == 0
    assert not any(name.startswith("tfcanary_release") for name, _ in found)


def test_a_paused_release_says_so_and_for_how_long(world: World, pushed: ModelVersion) -> None:
    assert value(values(seen(world)), "tfcanary_paused") == 0
    orders.pause(world.platform(), "lunch")
    world.clock.sleep(90)
    found = values(seen(world))
    assert (value(found, "tfcanary_paused"), value(found, "tfcanary_stage_waited_seconds")) == (1, 90)


def test_an_opened_release_has_a_state_a_holder_and_no_weight(world: World, pushed: ModelVersion) -> None:
    found = values(seen(world))
    assert value(found, "tfcanary_release_state", state="open", version="") == 1, "it has no number before it is deployed"
    assert value(found, "tfcanary_weight_asked_ratio") == 0
    assert value(found, "tfcanary_watching") == 0
    held = value(found, "tfcanary_hold_until_timestamp_seconds")
    assert held == pytest.approx(world.clock.now().timestamp() + 300)
    assert value(found, "tfcanary_guard_seen_timestamp_seconds") is None
    assert value(found, "tfcanary_stage") is None


def test_a_watched_release_shows_weight_requests_criteria_and_the_guard(world: World, deployed: ModelVersion) -> None:
    running(world)
    found = values(seen(world))
    now = world.clock.now().timestamp()
    assert value(found, "tfcanary_weight_asked_ratio") == 0.5
    assert value(found, "tfcanary_watching") == 1
    assert value(found, "tfcanary_decision", decision="hold") == 1
    assert now - (value(found, "tfcanary_guard_seen_timestamp_seconds") or 0) <= 5
    assert now - (value(found, "tfcanary_last_poll_timestamp_seconds") or 0) <= 5
    counted = {track: value(found, "tfcanary_requests_total", track=track) or 0 for track in ("stable", "canary")}
    in_stage = {track: value(found, "tfcanary_stage_requests", track=track) or 0 for track in ("stable", "canary")}
    assert counted["stable"] > counted["canary"] > 100
    assert counted["canary"] >= in_stage["canary"] > 0
    of = {"criterion": "metrics/errors"}
    low, estimate, high = (value(found, f"tfcanary_criterion_{one}_ratio", **of) for one in ("low", "estimate", "high"))
    assert low is not None
    assert estimate is not None
    assert high is not None
    assert low < estimate < high
    assert value(found, "tfcanary_criterion_margin_ratio", **of) is not None
    assert sorted(value(found, "tfcanary_criterion_finding", finding=one, **of) or 0 for one in Finding) == [0, 0, 0, 1]
    assert 0 < (value(found, "tfcanary_alpha_spent_ratio", **of) or 0) < (value(found, "tfcanary_alpha_ratio") or 0)
    assert value(found, "tfcanary_criterion_evidence_ratio", towards="rollback", **of) is not None


def test_the_share_of_a_stage_is_that_of_its_own_weight(world: World, deployed: ModelVersion) -> None:
    watched(world)
    first = value(values(seen(world)), "tfcanary_weight_measured_ratio")
    watch.watch_stage(world.platform(), RUN, 0)
    watched(world, stage=1)
    found = values(seen(world))
    assert value(found, "tfcanary_weight_asked_ratio") == 0.5
    assert value(found, "tfcanary_weight_measured_ratio") == pytest.approx(0.5, abs=0.05)
    assert first == pytest.approx(0.1, abs=0.03)
    assert value(found, "tfcanary_stage_began_timestamp_seconds", stage="1") is not None


def test_a_candidate_that_goes_under_another_number_has_one_track(world: World, deployed: ModelVersion) -> None:
    found = values(seen(world))
    tracks = {dict(labels)["track"]: dict(labels)["version"] for name, labels in found if name == "tfcanary_track_info"}
    assert tracks == {"stable": "1", "canary": "2"}
    same = replace(seen(world).record or Record("digits", ""), stable=deployed)
    found = values(ModelReading("serving", "digits", None, same))
    assert [dict(labels)["track"] for name, labels in found if name == "tfcanary_track_info"] == ["stable"]


def test_a_promotion_is_counted_and_its_canary_has_no_weight_any_more(world: World, at_last_stage: ModelVersion) -> None:
    promote.promote(world.platform(), RUN)
    found = values(seen(world))
    assert value(found, "tfcanary_release_state", state="promoted") == 1
    assert value(found, "tfcanary_stable_version") == 2
    assert value(found, "tfcanary_weight_asked_ratio") == 0
    assert value(found, "tfcanary_history_releases", outcome="promoted") == 1
    assert value(found, "tfcanary_release_over_timestamp_seconds", outcome="promoted") == world.clock.now().timestamp()
    assert value(found, "tfcanary_guard_seen_timestamp_seconds") is None
    assert value(found, "tfcanary_track_info", track="canary") is None


def test_a_rollback_is_told_from_the_moment_it_begins(world: World, deployed: ModelVersion) -> None:
    world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, errors=0.3)
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ROLLBACK
    under_way = values(seen(world))
    assert value(under_way, "tfcanary_release_state", state="rolling back") == 1
    assert value(under_way, "tfcanary_release_over_timestamp_seconds", outcome="rolled back") is not None
    assert value(under_way, "tfcanary_weight_asked_ratio") == 0
    rollback.roll_back(world.platform(), RUN)
    found = values(seen(world))
    assert value(found, "tfcanary_release_state", state="rolled back") == 1
    assert value(found, "tfcanary_history_releases", outcome="rolled back") == 1


def test_a_refusal_is_no_rollback(world: World, pushed: ModelVersion) -> None:
    rollback.roll_back(world.platform(), RUN)
    found = values(seen(world))
    assert value(found, "tfcanary_release_state", state="refused") == 1
    assert value(found, "tfcanary_release_over_timestamp_seconds", outcome="refused") is not None
    assert value(found, "tfcanary_history_releases", outcome="rolled back") == 0


@pytest.mark.parametrize("state", State)
def test_exactly_one_state_is_1_in_each_of_them(world: World, deployed: ModelVersion, state: State) -> None:
    ledger.change(world.platform(), RUN, lambda r: replace(r, state=state))
    found = values(seen(world))
    states = {dict(labels)["state"]: v for (name, labels), v in found.items() if name == "tfcanary_release_state"}
    assert states == {one.value: float(one is state) for one in State}
    assert list(text_string_to_metric_families(text(seen(world))))


def test_a_record_that_cannot_be_read_is_not_shown_as_it_was(world: World, deployed: ModelVersion) -> None:
    found = values(ModelReading("serving", "digits", world.clock.now()))
    assert {name for name, _ in found} == {"tfcanary_build_info", "tfcanary_record_read_timestamp_seconds"}
    assert value(values(ModelReading("serving", "digits", None)), "tfcanary_record_read_timestamp_seconds") == 0


def with_evidence(world: World, *evidence: Evidence) -> ModelReading:
    now = seen(world)
    verdict = Verdict(Decision.HOLD, "", evidence)
    return replace(now, checkpoint=checkpoint.Checkpoint("", Timeline(), verdict))


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_gets_out_of_its_label(world: World, deployed: ModelVersion, name: str) -> None:
    hostile = Evidence(name, Finding.FAIL, "", interval=Interval(0.5, 1.0, 2.0), figures={"alpha spent": 0.01})
    of = replace(with_evidence(world, hostile), namespace=name, model=name)
    written = text(of)
    for family in text_string_to_metric_families(written):
        for sample in family.samples:
            assert sample.name.removesuffix("_total") in {row.removesuffix("_total") for row in TABLE}
            assert all(len(label) <= LONGEST and label == clean(label) for label in sample.labels.values())
    assert value(values(of), "tfcanary_criterion_estimate_ratio") == 1.0
    assert "\nup{" not in written


def test_series_that_become_equal_are_one(world: World, deployed: ModelVersion) -> None:
    found = values(with_evidence(world, *(Evidence(f"objective/{c}", Finding.PASS, "") for c in '"\n{')))
    assert value(found, "tfcanary_criterion_finding", criterion="objective/_", finding="pass") == 1


def test_a_plan_with_countless_objectives_makes_a_bounded_page(world: World, deployed: ModelVersion) -> None:
    found = values(with_evidence(world, *(Evidence(f"objective/{i}", Finding.PASS, "") for i in range(5000))))
    assert sum(name == "tfcanary_criterion_finding" for name, _ in found) == MOST_CRITERIA * len(Finding)


def test_numbers_that_are_none_are_left_out(world: World, deployed: ModelVersion) -> None:
    endless = Evidence("metrics/errors", Finding.INCONCLUSIVE, "", interval=Interval(0.0, 1.0, math.inf), margin=math.nan)
    found = values(with_evidence(world, endless))
    assert value(found, "tfcanary_criterion_low_ratio") == 0
    assert value(found, "tfcanary_criterion_high_ratio") is None
    assert value(found, "tfcanary_criterion_margin_ratio") is None


def test_every_metric_of_the_table_is_exported_by_some_release(world: World, deployed: ModelVersion) -> None:
    running(world)
    found = {name for name, _ in values(seen(world))}
    rollback.roll_back(world.platform(), RUN, "by a person")
    assert found | {name for name, _ in values(seen(world))} == {*TABLE}


def test_every_label_of_the_table_is_explained() -> None:
    assert {label for row in TABLE.values() for label in row.labels} == {*LABELS}


def test_the_history_is_counted_by_outcome(world: World, pushed: ModelVersion) -> None:
    now = world.clock.now()
    lines = tuple(Ended(f"r{i}", State.ROLLED_BACK, 1, "", now, now + timedelta(seconds=1)) for i in range(3))
    record = replace(seen(world).record or Record("digits", ""), history=lines)
    assert value(values(ModelReading("", "digits", now, record)), "tfcanary_history_releases", outcome="rolled back") == 3


def test_two_models_are_on_one_page(world: World, pushed: ModelVersion) -> None:
    one = seen(world)
    found = values(one, replace(one, model="other"))
    assert {dict(labels)["model"] for name, labels in found if name == "tfcanary_stable_version"} == {"digits", "other"}
