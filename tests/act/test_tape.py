"""What the judge was told is kept whole: bit for bit, in a few objects, and none is lost to a kill."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from tests.fake_storage import FakeStorage
from tests.fakes import World
from tfcanary.act import ledger, poll_log, tape
from tfcanary.act.poll_log import LINES
from tfcanary.act.tape import Tape
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release
from tfcanary.decide.judge import Judge, Poll

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def release(world: World, plan: Plan) -> Release:
    ledger.begin(world.platform(), plan, "run-1")
    found = ledger.read(world.platform()).release
    assert found is not None
    return found


def poll(i: int, odd: float = 0.1) -> Poll:
    """With a name and numbers that no format likes."""
    whole = Counters(
        ok=i + 1 / 3,
        errors={"INTERNAL": odd},
        latency=(0.0,) * 33 + (i / 7,),
        quality=(odd, i, i),
        classes=(1.0, 2.0),
        objectives={"fallbacks": (i / 3, odd)},
        latency_sum=i / 9 if i % 2 else None,
    )
    stable, canary = Sample(Track.STABLE, True, {"{{a}} $(b)\n": whole}), Sample(Track.CANARY, False)
    baseline = Sample(Track.BASELINE, i % 5 > 0, {"c": whole}) if i % 3 else None
    return Poll(10.0 * i, stable, canary, None if i % 2 else 5, baseline)


def recorded(platform: Platform, release: Release, count: int) -> Tape:
    kept = poll_log.begin(release, Judge.begin(release.plan.judge, "run-1").dumps())
    for i in range(count):
        kept = poll_log.add(platform, "run-1", kept, NOON + timedelta(seconds=10 * i), poll(i))
    return kept


@pytest.mark.parametrize("count", [0, 1, LINES - 2, LINES - 1, LINES, LINES + 1, 5 * LINES])
def test_every_poll_comes_back_bit_for_bit(world: World, release: Release, count: int) -> None:
    platform = world.platform()
    head, looks = poll_log.read(platform, "run-1", recorded(platform, release, count))
    assert [look.poll for look in looks] == [poll(i) for i in range(count)]
    assert (head.run_id, head.plan) == ("run-1", release.plan.judge)
    assert [look.at for look in looks][:1] == [NOON][:count]


def test_numbers_that_are_none_come_back_as_such(world: World, release: Release) -> None:
    platform = world.platform()
    kept = recorded(platform, release, 0)
    for odd in (math.nan, math.inf, -math.inf):
        kept = poll_log.add(platform, "run-1", kept, NOON, poll(1, odd))
    _, looks = poll_log.read(platform, "run-1", kept)
    found = [look.poll.stable.servers["{{a}} $(b)\n"].failed for look in looks]
    assert str(found) == "[nan, inf, -inf]"


def test_a_reel_that_is_written_twice_is_the_same_one(world: World, release: Release) -> None:
    platform = world.platform()
    full = recorded(platform, release, LINES - 1)
    assert full.lines == LINES
    assert tape.wind(platform.storage, "digits/polls/run-1/", full, LINES) == tape.wind(
        platform.storage, "digits/polls/run-1/", full, LINES
    )
    assert len(platform.storage.list("digits/polls/")) == 1


@pytest.mark.parametrize("damage", ["missing", "foreign", "cut"])
def test_a_tape_with_a_hole_is_refused(world: World, release: Release, damage: str) -> None:
    platform = world.platform()
    kept = recorded(platform, release, 3 * LINES)
    storage = platform.storage
    assert isinstance(storage, FakeStorage)
    name = sorted(one for one in storage.objects if "/polls/" in one)[1]
    if damage == "missing":
        storage.delete(name)
    else:
        storage.write(name, b"nothing of the kind" if damage == "foreign" else storage.objects[name][0][:-10])
    with pytest.raises(Refused, match="a reel is missing" if damage == "missing" else "no reel"):
        poll_log.read(platform, "run-1", kept)


def test_a_checkpoint_of_before_tapes_is_refused(world: World, release: Release) -> None:
    with pytest.raises(Refused, match="nothing was kept of its polls"):
        poll_log.read(world.platform(), "run-1", Tape())
    with pytest.raises(Refused, match="run-1"):
        poll_log.read(world.platform(), "run-1", poll_log.add(world.platform(), "run-1", Tape(), NOON, poll(1)))


def test_a_reel_of_a_checkpoint_that_never_was_is_not_read(world: World, release: Release) -> None:
    platform = world.platform()
    kept = recorded(platform, release, 2 * LINES - 1)
    assert (kept.first, kept.lines) == (LINES, LINES)
    tape.wind(platform.storage, "digits/polls/run-1/", kept, LINES)
    assert len(poll_log.read(platform, "run-1", kept)[1]) == 2 * LINES - 1
