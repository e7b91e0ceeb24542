"""The judge alone: it waits for a canary, goes on after a restart, and never takes silence for consent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fake_storage import FakeStorage
from tests.fakes import FakeClock
from tests.run.alone.series import Recorded, opinions
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.run.alone.lone_watch import Answer, Opinion
from tfcanary.run.alone.saved_watches import SavedWatches


def kept(storage: FakeStorage) -> SavedWatches:
    """The states as a new process opens them."""
    return SavedWatches(storage, "gs://states")


def test_a_watch_that_restarts_before_each_poll_says_the_same_bit_for_bit(recorded: Recorded) -> None:
    whole, broken, storage = FakeClock(), FakeClock(), FakeStorage()
    expected = opinions(recorded.watch(whole), whole)
    said: list[Opinion] = []
    while not (said and said[-1].ended):
        said.append(recorded.watch(broken, kept(storage)).poll())
        broken.sleep(10)
    assert said == expected
    assert recorded.watch(broken, kept(storage)).last() == expected[-1]


def test_a_state_does_not_grow_with_the_polls(recorded: Recorded, clock: FakeClock) -> None:
    """Sixty polls become an object that is written once."""
    storage = FakeStorage()
    stage = {"poll": "10s", "minimum": "1h", "maximum": "2h"}
    watch = recorded.watch(clock, kept(storage), stage=stage)
    sizes = []
    for _ in range(130):
        watch.poll()
        clock.sleep(10)
        sizes.append(len(storage.objects["r-1/state.json"][0]))
    assert max(sizes[70:]) <= 1.1 * max(sizes[:65])
    assert sorted(storage.objects) == ["r-1/state.json", "r-1/trace/00000000.z", "r-1/trace/00000060.z"]
    assert recorded.watch(clock, kept(storage), stage=stage).last() == watch.last()


def test_a_final_answer_stays_and_a_watch_that_paused_too_long_begins_anew(recorded: Recorded, clock: FakeClock) -> None:
    storage = FakeStorage()
    recorded.behaviours["canary"] = type(recorded.behaviours["canary"])(10.0, 0.3)
    last = opinions(recorded.watch(clock, kept(storage)), clock)[-1]
    assert last.answer is Answer.ROLLBACK
    assert recorded.watch(clock, kept(storage)).poll() == last
    clock.sleep(601)
    anew = recorded.watch(clock, kept(storage))
    assert anew.last() is None
    assert anew.poll().answer is Answer.HOLD


def test_a_state_of_another_plan_is_refused(recorded: Recorded, clock: FakeClock) -> None:
    storage = FakeStorage()
    recorded.watch(clock, kept(storage)).poll()
    with pytest.raises(Refused, match="another judge would spend alpha twice"):
        recorded.watch(clock, kept(storage), judge={"alpha": 0.01}).poll()


def test_of_two_processes_that_judge_one_release_one_is_told(recorded: Recorded, clock: FakeClock) -> None:
    storage = FakeStorage()
    first, second = recorded.watch(clock, kept(storage)), recorded.watch(clock, kept(storage))
    assert first.last() is second.last() is None
    first.poll()
    with pytest.raises(Conflict, match="another process judges this release"):
        second.poll()


def test_a_storage_that_is_away_stops_no_watch(recorded: Recorded, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FakeStorage()
    watch = recorded.watch(clock, kept(storage))
    watch.poll()
    expected = FakeClock()
    reference = opinions(recorded.watch(expected), expected)

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the bucket is away")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", away)
        clock.sleep(10)
        assert watch.poll() == reference[1]
    clock.sleep(10)
    assert watch.poll() == reference[2]
    assert recorded.watch(clock, kept(storage)).last() == reference[2]


def test_time_before_the_canary_is_counted_is_not_held_against_it(recorded: Recorded, clock: FakeClock) -> None:
    recorded.born = (clock.now() + timedelta(seconds=300)).timestamp()
    said = opinions(recorded.watch(clock), clock)
    assert {one.answer for one in said[:30]} == {Answer.HOLD}
    assert all(one.blind for one in said[:30])
    assert said[-1].answer is Answer.PROMOTE


def test_a_canary_that_is_never_counted_is_undecided(recorded: Recorded, clock: FakeClock) -> None:
    recorded.gone = {"canary"}
    last = opinions(recorded.watch(clock), clock)[-1]
    assert (last.answer, last.verdict.reason) == (Answer.UNDECIDED, "undecided: the canary was never counted within 5m")


def test_a_watch_that_has_become_blind_is_undecided_even_where_the_plan_promotes_such_releases(
    recorded: Recorded, clock: FakeClock
) -> None:
    stage = {"poll": "10s", "minimum": "60s", "maximum": "1h", "on_undecided": "promote"}
    watch = recorded.watch(clock, stage=stage)
    opinions(watch, clock, most=3)
    recorded.gone = {"stable", "canary"}
    said = opinions(watch, clock)
    assert all(one.blind and one.answer is Answer.HOLD for one in said[:-1])
    assert said[-1].answer is Answer.UNDECIDED
    assert "were last seen 600 s ago" in said[-1].verdict.reason


def test_too_few_requests_are_no_success_where_the_plan_promotes_undecided_releases(clock: FakeClock) -> None:
    server = Recorded("undecided", clock.now())
    try:
        stage = {"poll": "10s", "minimum": "60s", "maximum": "300s", "on_undecided": "promote"}
        assert opinions(server.watch(clock, stage=stage), clock)[-1].answer is Answer.UNDECIDED
    finally:
        server.close()
