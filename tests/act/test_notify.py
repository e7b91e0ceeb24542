"""Who asked is told how a release ends: last of all, with its reason, and never instead of a rollback."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.act.conftest import RUN, end_as, release_of
from tests.act.receivers import B, both, plan, promoted, rolled_back, told
from tests.fakes import World
from tfcanary.act import deploy, ledger, notify, rollback, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Decision, ModelVersion, Pool, Track, Verdict
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import DriftTold, State

__all__ = ["plan"]


def test_a_promotion_is_told_with_its_reason(world: World, at_last_stage: ModelVersion) -> None:
    promoted(world)
    notice, _ = world.notices.told[0]
    assert told(world) == both("release.promoted")
    assert (notice.reason, notice.candidate, notice.stable, notice.state) == ("every criterion passed", 2, 2, "promoted")
    assert (notice.id, notice.model, notice.platform, notice.at) == (
        f"{RUN}/release.promoted",
        "digits",
        "fake://",
        release_of(world).ended,
    )


def test_a_rollback_is_told_with_its_reason(world: World, at_last_stage: ModelVersion) -> None:
    rolled_back(world)
    assert told(world) == both("release.rolled_back")
    assert {notice.reason for notice, _ in world.notices.told} == {"errors 4 times stable's"}


def test_a_refusal_is_told_with_its_reason(world: World, pushed: ModelVersion) -> None:
    rollback.roll_back(world.platform(), RUN)
    assert told(world) == both("release.refused")
    assert {notice.reason for notice, _ in world.notices.told} == {
        f"{rollback.NO_VERDICT} after its beginning: the next step did not begin; "
        "the release was left to that step until 12:05:30 UTC by its clock"
    }


def test_a_first_release_is_told(plan: Plan, pushed_first: tuple[World, ModelVersion]) -> None:
    world, version = pushed_first
    deploy.deploy_canary(world.platform(), RUN, version, lambda: iter(()))
    rollback.roll_back(world.platform(), RUN)
    assert told(world) == both("release.promoted")


def test_a_plan_without_receivers_costs_no_write(world: World, at_last_stage: ModelVersion) -> None:
    ledger.change(world.platform(), RUN, lambda r: replace(r, plan=replace(r.plan, notify=())))
    rolled_back(world)
    writes = world.records.writes
    assert notify.deliver(world.platform(), RUN)
    assert (world.records.writes, told(world)) == (writes, [])


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_traffic_and_record_come_first_however_long_a_receiver_lets_us_wait(
    world: World, at_last_stage: ModelVersion, seconds: float
) -> None:
    """What each receiver could have seen at the moment it was told."""
    world.notices.seconds, world.notices.deaf = seconds, {"a.example"}
    rolled_back(world)
    assert [weight for weight, _ in world.notices.seen] == [0, 0]
    assert {record.release.state for _, record in world.notices.seen if record.release} == {State.ROLLED_BACK}
    assert world.tracks == {Track.STABLE: Pool(1)}
    assert world.unserved == 0


def test_a_verdict_of_rollback_moves_traffic_before_anybody_is_told(world: World, at_last_stage: ModelVersion) -> None:
    shift.trip(world.platform(), RUN, "errors")
    assert (world.weight, world.notices.seen) == (0, [])


def test_a_receiver_that_takes_nothing_changes_no_release(world: World, at_last_stage: ModelVersion) -> None:
    world.notices.deaf = {"a.example"}
    ended = promoted(world)
    after = release_of(world)
    assert told(world) == [("release.promoted", "b.example")]
    assert (after.state, after.reason, after.ended, after.weight) == (ended.state, ended.reason, ended.ended, ended.weight)
    assert [event.what for event in after.events if event.what.startswith("not told")] == [
        "not told: release.promoted: a.example did not take it"
    ]
    assert world.unserved == 0


def test_a_record_that_cannot_be_read_is_a_warning(
    world: World, at_last_stage: ModelVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end_as(world.platform(), RUN, State.ROLLED_BACK, "errors")

    def unread() -> None:
        raise Unavailable("the API server is away")

    monkeypatch.setattr(world.records, "read", unread)
    assert not notify.deliver(world.platform(), RUN)
    assert "not everybody could be told of release run-1: the API server is away" in caplog.text


def advanced(platform: Platform) -> None:
    verdict = Verdict(Decision.ADVANCE, "nothing is wrong", stage=0, weight=10, at=platform.clock.now())
    ledger.change(platform, RUN, lambda r: replace(r, verdicts=(verdict,)))


def test_a_stage_is_told_to_who_asked_for_it(world: World, deployed: ModelVersion) -> None:
    advanced(world.platform())
    assert notify.deliver(world.platform(), RUN)
    ((notice, to),) = world.notices.told
    assert (notice.id, notice.stage, notice.weight, notice.reason) == (f"{RUN}/stage.advanced/0", 0, 10, "nothing is wrong")
    assert to is B
    rolled_back(world)
    assert told(world) == [("stage.advanced", "b.example"), *both("release.rolled_back")]


def test_a_receiver_that_lets_us_wait_between_two_stages_ends_no_release(world: World, deployed: ModelVersion) -> None:
    """A handover that is shorter than it takes to give a receiver up."""
    platform, short = world.platform(), timedelta(seconds=20)
    brief = replace(release_of(world).plan.deploy, handover=short, lease=timedelta(seconds=15))
    ledger.change(platform, RUN, lambda r: replace(r, plan=replace(r.plan, deploy=brief)))
    advanced(platform)
    world.notices.seconds, world.notices.deaf = 25.0, {"b.example"}
    with holding(platform, RUN, "judge") as hold:
        assert not notify.deliver(platform, RUN)
        assert hold.alive
    assert release_of(world).state is State.WATCHED


def test_a_world_that_drifted_asks_for_retraining(world: World, deployed: ModelVersion) -> None:
    from tfcanary.core.plan import DriftPlan

    platform = world.platform()
    ledger.change(platform, RUN, lambda r: replace(r, plan=replace(r.plan, drift=DriftPlan(retrain="train-digits"))))
    found = DriftTold(RUN, world.clock.now(), "input.x moved")
    ledger.update(platform, lambda r: replace(r, drift_told=found))
    for _ in range(2):
        assert notify.deliver(platform, RUN)
    assert told(world) == both("drift.world")
    notice, _ = world.notices.told[0]
    assert (notice.id, notice.retrain, notice.reason, notice.at) == (f"{RUN}/drift.world", "train-digits", "input.x moved", found.at)


def test_a_drift_that_another_release_told_is_not_told_again(world: World, deployed: ModelVersion) -> None:
    ledger.update(world.platform(), lambda r: replace(r, drift_told=DriftTold("run-0", world.clock.now(), "input.x moved")))
    assert notify.deliver(world.platform(), RUN)
    assert told(world) == []


def test_a_receiver_that_does_not_take_one_thing_is_not_asked_to_take_the_next(world: World, deployed: ModelVersion) -> None:
    advanced(world.platform())
    world.notices.deaf = {"b.example"}
    rolled_back(world)
    assert [event.what for event in release_of(world).events if event.what.startswith("not told")] == [
        "not told: stage.advanced: b.example did not take it"
    ]
    assert told(world) == [("release.rolled_back", "a.example")]
