"""No weight rises outside the plan's windows: what went well waits, is watched, and is convicted of nothing but by evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.act.conftest import RUN, at_last_stage, deployed, model, pushed, release_of
from tests.act.test_orders import after
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import ledger, orders, promote, shift
from tfcanary.core.domain import Decision, ModelVersion, Pool
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Approval, FreezePlan, Plan
from tfcanary.core.record import Pause, State
from tfcanary.report.wording import release_reason
from tfcanary.run import watch
from tfcanary.run.submit.pages import ReleaseReport

__all__ = ["at_last_stage", "deployed", "model", "pushed"]


def freezing(world: World, begins: float, ends: float, **stage: object) -> datetime:
    """No weight of the release on the road rises between two times in minutes from now; returns the end. Its patience is one minute."""
    now = world.clock.now().replace(second=0, microsecond=0)
    begins_at, ends_at = (now + timedelta(minutes=minutes) for minutes in (begins, ends))
    freeze = FreezePlan("UTC", f"{begins_at:%Y-%m-%d %H:%M}", f"{ends_at:%Y-%m-%d %H:%M}", "the sale")

    def frozen(plan: Plan) -> Plan:
        times = replace(plan.stage, maximum=timedelta(minutes=3), patience=timedelta(minutes=1), **stage)  # type: ignore[arg-type]
        return replace(plan, freeze=(freeze,), stage=times)

    ledger.change(world.platform(), RUN, lambda r: replace(r, plan=frozen(r.plan)))
    return ends_at


def test_the_first_weight_waits_for_its_window_and_the_record_says_until_when(world: World, deployed: ModelVersion) -> None:
    opens = freezing(world, -1, 9)
    seen: list[Pause | None] = []
    after(world, 300, lambda: seen.append(release_of(world).pause))
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    assert world.weights == [0, 0, 10]
    first_traffic = release_of(world).first_traffic
    assert first_traffic is not None
    assert first_traffic >= opens
    assert [pause and pause.until for pause in seen] == [opens]


def test_a_stage_that_went_well_waits_longer_than_its_maximum_and_its_patience(world: World, deployed: ModelVersion) -> None:
    opens = freezing(world, 0, 9)
    freed = release_of(world).plan
    ledger.change(world.platform(), RUN, lambda r: replace(r, plan=replace(r.plan, freeze=())))
    after(world, 5, lambda: ledger.change(world.platform(), RUN, lambda r: replace(r, plan=freed)))
    weights: list[int] = []
    after(world, 300, lambda: weights.append(world.weight))
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, weights, world.clock.now() >= opens) == (Decision.ADVANCE, [10], True)
    assert [event.what for event in release_of(world).events if "window" in event.what] == [
        f"waits at 10 % for its window, which opens on {opens:%a %Y-%m-%d %H:%M} UTC",
        "its window is open",
    ]


def test_a_canary_that_turns_bad_while_it_waits_is_rolled_back_at_once(world: World, deployed: ModelVersion) -> None:
    opens = freezing(world, 1, 9)

    def breaks() -> None:
        assert release_of(world).waits_for_window
        world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, errors=0.5)

    after(world, 200, breaks)
    verdict = watch.watch_stage(world.platform(), RUN, 0)
    assert (verdict.decision, world.weight, world.clock.now() < opens) == (Decision.ROLLBACK, 0, True)


def test_the_next_stage_waits_where_the_window_closes_between_two_steps(world: World, deployed: ModelVersion) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    opens = freezing(world, -1, 9)
    seen: list[int] = []
    after(world, 300, lambda: seen.append(world.weight))
    assert watch.watch_stage(world.platform(), RUN, 1).decision is Decision.PROMOTE
    assert (seen, world.clock.now() >= opens) == ([10], True)


def test_a_promotion_is_a_rise_too(world: World, at_last_stage: ModelVersion) -> None:
    opens = freezing(world, -1, 9)
    weights: list[int] = []
    after(world, 300, lambda: weights.append(world.weight))
    assert promote.promote(world.platform(), RUN).state is State.PROMOTED
    assert (weights, world.clock.now() >= opens) == ([50], True)


def test_a_weight_that_somebody_elses_pipeline_raises_waits_and_one_that_it_lowers_does_not(
    world: World, at_last_stage: ModelVersion
) -> None:
    opens = freezing(world, -1, 9)
    shift.set_weight(world.platform(), RUN, 20)
    assert (world.weight, world.clock.now() < opens) == (20, True)
    shift.set_weight(world.platform(), RUN, 30)
    assert (world.weight, world.clock.now() >= opens) == (30, True)


def test_the_approval_of_a_person_is_asked_for_when_the_window_opens(world: World, deployed: ModelVersion) -> None:
    opens = freezing(world, 1, 9, approval=Approval.EVERY)
    asked: list[datetime] = []

    def approves(_: float) -> None:
        pause = release_of(world).pause
        if pause and pause.approval:
            asked.append(pause.since)
            orders.approve(world.platform(), "fine")

    world.clock.on_sleep.append(approves)
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    assert len(asked) == 1
    assert asked[0] >= opens


def test_a_person_may_pause_a_release_that_waits_for_its_window(world: World, deployed: ModelVersion) -> None:
    opens = freezing(world, 1, 9)
    after(world, 300, lambda: orders.pause(world.platform(), "lunch"))
    after(world, 340, lambda: orders.resume(world.platform(), "back"))
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    assert world.clock.now() >= opens


def test_windows_are_overridden_with_a_reason_that_record_page_and_history_keep(world: World, deployed: ModelVersion) -> None:
    opens = freezing(world, 1, 9)
    after(world, 300, lambda: orders.override_window(world.platform(), "the outage cannot wait"))
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ADVANCE
    assert watch.watch_stage(world.platform(), RUN, 1).decision is Decision.PROMOTE
    assert world.clock.now() < opens
    release = release_of(world)
    assert release.override == "the outage cannot wait"
    assert "windows overridden: the outage cannot wait" in [event.what for event in release.events]
    assert "the outage cannot wait" in ReleaseReport(ledger.read(world.platform()), None, None).markdown
    ended = replace(release, ended=world.clock.now()).line
    assert ended is not None
    assert ended.override == "the outage cannot wait"


def test_an_override_that_changes_nothing_is_refused(world: World, deployed: ModelVersion) -> None:
    with pytest.raises(Refused, match="the plan has neither `windows` nor `freeze`"):
        orders.override_window(world.platform(), "hurry")
    freezing(world, -1, 9)
    with pytest.raises(Refused, match="--reason ' ': must say why"):
        orders.override_window(world.platform(), " ")
    orders.override_window(world.platform(), "hurry")
    with pytest.raises(Refused, match="are overridden already: hurry"):
        orders.override_window(world.platform(), "again")


def test_a_release_that_waits_for_its_window_says_so_and_knows_no_resume(world: World, deployed: ModelVersion) -> None:
    opens = freezing(world, -1, 9)
    refused: list[str] = []

    def resumes() -> None:
        said = release_reason(release_of(world))
        assert f"It waits for its window since {world.clock.now() - timedelta(seconds=300):%Y-%m-%d}" in said
        assert f"weights may rise on {opens:%a %Y-%m-%d %H:%M} UTC at the latest" in said
        with pytest.raises(Refused) as error:
            orders.resume(world.platform(), "now")
        refused.append(str(error.value))

    after(world, 300, resumes)
    watch.watch_stage(world.platform(), RUN, 0)
    assert f"until {opens:%a %Y-%m-%d %H:%M} UTC at the latest; `resume` goes on after `pause`" in refused[0]


def test_a_release_that_begins_outside_its_windows_says_in_its_record_when_it_rises(world: World, plan: Plan) -> None:
    now = world.clock.now()
    freeze = FreezePlan("UTC", f"{now:%Y-%m-%d}", f"{now:%Y-%m-%d}", "the sale")
    release = ledger.begin(world.platform(), replace(plan, freeze=(freeze,)), RUN)
    tomorrow = now + timedelta(days=1)
    assert release.events[0].what == (
        f"outside its windows (the sale): the first weight rises on {tomorrow:%a %Y-%m-%d} 00:00 UTC at the earliest"
    )


def test_a_release_may_be_begun_with_its_windows_overridden(world: World, plan: Plan) -> None:
    now = world.clock.now()
    freeze = FreezePlan("UTC", f"{now:%Y-%m-%d}", f"{now:%Y-%m-%d}")
    release = ledger.begin(world.platform(), replace(plan, freeze=(freeze,), override_window="a fix"), RUN)
    assert (release.override, release.next_rise(now)) == ("a fix", now)
    assert [event.what for event in release.events] == ["windows overridden: a fix"]


def test_a_release_that_overrides_windows_which_its_plan_has_not_is_refused(world: World, plan: Plan) -> None:
    with pytest.raises(Refused, match="override_window 'hurry': must be left out where the plan has neither `windows` nor `freeze`"):
        ledger.begin(world.platform(), replace(plan, override_window="hurry"), RUN)
