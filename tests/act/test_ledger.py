"""The record of releases: one at a time, what has ended is history, and no writer loses a change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.act.conftest import RUN, release_of
from tests.fakes import World
from tfcanary.act import ledger, promote, rollback
from tfcanary.core.domain import Decision, ModelVersion, Verdict
from tfcanary.core.errors import Held, Refused
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Stored
from tfcanary.core.record import Record


def test_a_second_release_is_refused_by_name(world: World, plan: Plan, deployed: ModelVersion) -> None:
    with pytest.raises(Held, match="release 'run-1' is active"):
        ledger.begin(world.platform(), plan, "run-2")
    assert release_of(world).run_id == RUN


def test_beginning_again_finds_the_release_open(world: World, plan: Plan) -> None:
    ledger.begin(world.platform(), plan, RUN)
    world.clock.sleep(3)
    writes = world.records.writes
    ledger.begin(world.platform(), plan, RUN)
    assert (world.records.writes, world.guards) == (writes, [RUN])


def test_an_ended_release_becomes_history(world: World, plan: Plan, at_last_stage: ModelVersion) -> None:
    rollback.roll_back(world.platform(), RUN, "errors")
    ledger.begin(world.platform(), plan, "run-2")
    assert [(line.run_id, line.reason) for line in ledger.read(world.platform()).history] == [(RUN, "errors")]


def test_no_stable_version_and_no_bootstrap_is_refused_by_that_name(plan: Plan) -> None:
    with pytest.raises(Refused, match="bootstrap: true"):
        ledger.begin(World().platform(), plan, RUN)


def test_bootstrap_beside_a_stable_version_is_refused(world: World, plan: Plan) -> None:
    with pytest.raises(Refused, match="version 1 is stable already"):
        ledger.begin(world.platform(), replace(plan, bootstrap=True), RUN)


def test_an_id_that_another_run_began_is_refused(world: World, plan: Plan) -> None:
    ledger.begin(world.platform(), plan, RUN, begun_by="kubeflow-1")
    with pytest.raises(Refused, match="was begun by run 'kubeflow-1', and this is 'kubeflow-2'"):
        ledger.begin(world.platform(), plan, RUN, begun_by="kubeflow-2")


def test_an_id_is_used_once(world: World, plan: Plan, at_last_stage: ModelVersion) -> None:
    rollback.roll_back(world.platform(), RUN, "errors")
    ledger.begin(world.platform(), plan, "run-2")
    rollback.roll_back(world.platform(), "run-2", "enough")
    with pytest.raises(Refused, match="release 'run-1' has ended already"):
        ledger.begin(world.platform(), plan, RUN)


def test_intents_grow_over_all_releases_of_a_model_also_where_the_record_was_lost(world: World, plan: Plan) -> None:
    platform = world.platform()
    first = ledger.begin(platform, plan, RUN).intent
    rollback.roll_back(platform, RUN, "enough")
    second = ledger.begin(platform, plan, "run-2").intent
    rollback.roll_back(platform, "run-2", "enough")
    world.records.stored = None
    world.clock.sleep(60)
    assert first < second < ledger.begin(platform, replace(plan, bootstrap=True), "run-3").intent


def test_a_verdict_of_a_stage_is_written_once() -> None:
    first = Verdict(Decision.ADVANCE, "first", stage=0)
    assert ledger.put_verdict((first,), Verdict(Decision.ROLLBACK, "second", stage=0)) == (first,)


def test_two_writers_of_the_record_both_get_their_change_in(world: World, deployed: ModelVersion) -> None:
    platform = world.platform()
    swap = world.records.swap

    def interfered(record: Record, generation: int) -> int:
        world.records.swap = swap  # type: ignore[method-assign]
        stored = world.records.stored
        assert stored is not None
        world.records.stored = Stored(replace(stored.record, previous=(deployed,)), stored.generation + 1)
        return swap(record, generation)

    world.records.swap = interfered  # type: ignore[method-assign]
    ledger.change(platform, RUN, lambda r: replace(r, stage=1))
    record = ledger.read(platform)
    assert record.previous == (deployed,)
    assert record.release is not None
    assert record.release.stage == 1


def test_going_back_to_a_former_version_leaves_it_in_one_place(world: World, at_last_stage: ModelVersion) -> None:
    promote.promote(world.platform(), RUN)
    record = ledger.read(world.platform())
    assert record.stable == at_last_stage
    assert [v.number for v in record.with_stable(record.previous[0]).previous] == [at_last_stage.number]
