"""Two receivers, what they were told, and the ends that a release may have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.act.conftest import RUN
from tests.fakes import World
from tfcanary.act import promote, rollback
from tfcanary.core.plan import NoticeFormat, NotifyPlan, Occasion, Plan
from tfcanary.core.record import Release

A = NotifyPlan(url="https://a.example/canary")
B = NotifyPlan(url="https://b.example/canary", format=NoticeFormat.CLOUDEVENTS, when=tuple(Occasion))


@pytest.fixture
def plan(plan: Plan) -> Plan:
    """Two receivers."""
    return replace(plan, notify=(A, B), deploy=replace(plan.deploy, keep_previous=timedelta(0)))


def told(world: World) -> list[tuple[str, str]]:
    return [(notice.kind, to.place) for notice, to in world.notices.told]


def both(kind: str) -> list[tuple[str, str]]:
    return [(kind, "a.example"), (kind, "b.example")]


def promoted(world: World) -> Release:
    return promote.promote(world.platform(), RUN)


def rolled_back(world: World) -> Release:
    ended = rollback.roll_back(world.platform(), RUN, "errors 4 times stable's")
    assert ended is not None
    return ended
