"""A release whose receivers are really there, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.act.conftest import RUN, at_last_stage, deployed, model, pushed
from tests.adapters.notices.receiver import Answer, Receiver
from tests.fakes import World
from tfcanary.act import ledger, rollback
from tfcanary.adapters.notices import HttpNotices
from tfcanary.core.domain import ModelVersion
from tfcanary.core.plan import NoticeFormat, NotifyPlan
from tfcanary.core.ports import Platform
from tfcanary.core.record import State

__all__ = ["at_last_stage", "deployed", "model", "pushed"]

QUICK = HttpNotices(patience=0.5, timeout=0.2, pause=0.01)


@pytest.fixture
def other() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def over_http(world: World, *receivers: NotifyPlan) -> Platform:
    platform = replace(world.platform(), notices=QUICK)
    ledger.change(platform, RUN, lambda r: replace(r, plan=replace(r.plan, notify=receivers)))
    return platform


def test_each_receiver_gets_its_own_format(world: World, at_last_stage: ModelVersion, receiver: Receiver) -> None:
    platform = over_http(world, *(NotifyPlan(url=receiver.url, format=form) for form in NoticeFormat))
    rollback.roll_back(platform, RUN, "errors")
    plain, slack, event = (json.loads(one.body) for one in receiver.taken)
    assert (plain["kind"], event["type"]) == ("release.rolled_back", "dev.tfcanary.release.rolled_back")
    assert slack["text"].endswith("digits: version 2 is rolled back: errors")
    assert event["data"] == plain


def test_a_receiver_that_hangs_delays_no_rollback_and_keeps_nothing_from_the_next(
    world: World, at_last_stage: ModelVersion, receiver: Receiver, other: Receiver
) -> None:
    receiver.answers = [Answer(how="silent")] * 9
    platform = over_http(world, NotifyPlan(url=receiver.url), NotifyPlan(url=other.url))
    ended = rollback.roll_back(platform, RUN, "errors")
    assert ended is not None
    assert (ended.state, world.weight, len(other.taken)) == (State.ROLLED_BACK, 0, 1)
    release = ledger.read_release(platform, RUN)
    assert release.told == (f"{RUN}/release.rolled_back@1",)
    assert release.events[-1].what.startswith(f"not told: release.rolled_back: 127.0.0.1:{receiver.port} did not take it")
