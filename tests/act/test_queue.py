"""Whose turn it is: pure changes of the record, whatever comes in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.act.conftest import end_as
from tests.fakes import World
from tfcanary import __version__
from tfcanary.act import ledger, queue
from tfcanary.act.queue import Answer
from tfcanary.core import codec
from tfcanary.core.errors import Held
from tfcanary.core.plan import Plan, WaitingPolicy
from tfcanary.core.record import Fate, Record, State, Waiting

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOW + queue.BEGINS
EMPTY = Record("digits", __version__)
NEWEST, ALL = WaitingPolicy.NEWEST, WaitingPolicy.ALL


def candidate(version: object, event: str = "", since: datetime = NOW, folder: str = "gs://exports/digits") -> Waiting:
    return Waiting(queue.identity("test", event or f"{version}"), f"{folder}/{version}", since)


def offered(record: Record, *candidates: Waiting, policy: WaitingPolicy = NEWEST) -> Record:
    for one in candidates:
        record = queue.offer(record, one, policy, NOW).record
    return record


def begun(record: Record) -> Record:
    """The release of whoever was called has begun."""
    assert record.called is not None
    return queue.begun(record, queue.release_id(record.model, record.called.candidate.event), NEWEST, NOW)


def versions(record: Record) -> list[str]:
    return [one.model_uri.rpartition("/")[2] for one in record.waiting]


@pytest.mark.parametrize("version", [7, "latest"])
def test_the_same_event_heard_twice_is_one_candidate(version: object) -> None:
    waits = offered(EMPTY, candidate(version, "a"))
    called = queue.call(waits, candidate(version, "a").event, NOW)
    for once in (waits, called, begun(called), queue.expire(called, LATER)):
        again = queue.offer(once, candidate(version, "a"), NEWEST, LATER)
        assert (again.answer, again.record) == (Answer.HEARD, once)


def test_a_name_that_is_written_anew_is_a_candidate_anew() -> None:
    called = queue.call(offered(EMPTY, candidate("latest", "a")), candidate("latest", "a").event, NOW)
    again = queue.offer(begun(called), candidate("latest", "b", NOW + timedelta(hours=1)), NEWEST, LATER)
    assert again.answer is Answer.WAITING


def test_two_events_about_one_numbered_version_are_one_candidate() -> None:
    again = queue.offer(offered(EMPTY, candidate(7, "a")), candidate(7, "b"), NEWEST, NOW)
    assert again.answer is Answer.HEARD


def test_a_newer_candidate_takes_the_place_and_the_owner_can_be_told() -> None:
    record = offered(EMPTY, candidate(7), candidate(10))
    assert versions(record) == ["10"], "by number: as texts 10 would be older than 7"
    (dropped,) = record.dropped
    assert (dropped.candidate, dropped.fate) == (candidate(7), Fate.REPLACED)
    assert "/7 was replaced by gs://exports/digits/10" in dropped.reason


def test_an_older_version_that_comes_late_replaces_nobody() -> None:
    late = queue.offer(offered(EMPTY, candidate(8)), candidate(7, since=NOW + timedelta(hours=1)), NEWEST, NOW)
    assert late.answer is Answer.REPLACED
    assert versions(late.record) == ["8"]


def test_names_that_are_no_numbers_of_one_folder_are_ordered_by_the_time_of_their_events() -> None:
    first, second = candidate("b", since=NOW - timedelta(minutes=5)), candidate("a", since=NOW - timedelta(minutes=4))
    assert versions(offered(EMPTY, second, first)) == ["a"]
    moved = candidate(1, since=NOW, folder="gs://exports/new")
    assert versions(offered(EMPTY, candidate(9, since=NOW - timedelta(minutes=1)), moved)) == ["1"]


def test_a_version_that_is_older_than_the_one_on_the_road_is_not_released_after_it() -> None:
    called = queue.call(offered(EMPTY, candidate(8)), candidate(8).event, NOW)
    for record in (called, begun(called)):
        for policy in WaitingPolicy:
            assert queue.offer(record, candidate(7), policy, NOW).answer is Answer.REPLACED


def test_all_of_them_wait_oldest_first_and_the_list_is_bounded() -> None:
    several = offered(EMPTY, candidate(3), candidate(1), candidate(2), policy=ALL)
    assert versions(several) == ["1", "2", "3"]
    many = offered(EMPTY, *(candidate(n) for n in range(1, 100)), policy=ALL)
    assert versions(many) == [str(n) for n in range(80, 100)]
    assert len(many.dropped) == queue.MOST


def test_a_claim_takes_the_road_and_its_end_or_a_release_frees_it() -> None:
    record = queue.call(offered(EMPTY, candidate(7), policy=ALL), candidate(7).event, NOW)
    record = offered(record, candidate(8), policy=ALL)
    assert queue.next_up(record, NOW) is None
    assert queue.next_up(record, LATER) == candidate(8)
    with pytest.raises(Held):
        queue.call(record, candidate(8).event, NOW)
    assert queue.next_up(begun(record), NOW) == candidate(8), "here no release is active"


def test_a_claim_without_a_release_is_dropped_with_a_sentence() -> None:
    record = queue.call(offered(EMPTY, candidate(7)), candidate(7).event, NOW)
    assert queue.expire(record, NOW) == record
    after = queue.expire(record, LATER)
    assert after.called is None
    assert (after.dropped[0].fate, after.dropped[0].candidate) == (Fate.LATE, candidate(7))
    assert "no release had begun 15 minutes later" in after.dropped[0].reason


def test_only_whose_turn_it_is_can_be_called() -> None:
    record = offered(EMPTY, candidate(7), candidate(8), policy=ALL)
    with pytest.raises(Held):
        queue.call(record, candidate(8).event, NOW)
    with pytest.raises(Held):
        queue.call(EMPTY, candidate(8).event, NOW)


def test_a_claim_that_is_given_back_waits_again_unless_a_newer_one_does() -> None:
    called = queue.call(offered(EMPTY, candidate(7)), candidate(7).event, NOW)
    assert versions(queue.give_back(called, candidate(7).event, NEWEST, NOW)) == ["7"]
    busy = queue.give_back(offered(called, candidate(8)), candidate(7).event, NEWEST, NOW)
    assert (versions(busy), busy.called, busy.dropped[0].fate) == (["8"], None, Fate.REPLACED)
    assert queue.give_back(begun(called), candidate(7).event, NEWEST, NOW) == begun(called)


def test_a_claimed_candidate_waits_again_where_another_models_release_was_quicker() -> None:
    called = queue.call(offered(EMPTY, candidate(7)), candidate(7).event, NOW)
    quicker = queue.begun(called, "another", NEWEST, NOW)
    assert (versions(quicker), quicker.called, quicker.latest) == (["7"], None, None)
    assert queue.begun(quicker, "another", NEWEST, NOW) == quicker
    ours = begun(called)
    assert (versions(ours), ours.latest and ours.latest.candidate) == ([], candidate(7))


def test_the_page_is_noted_also_where_the_release_has_begun_already() -> None:
    called = queue.call(offered(EMPTY, candidate(7)), candidate(7).event, NOW)
    for record in (called, begun(called)):
        noted = queue.submitted(record, candidate(7).event, "https://kfp/run")
        assert [one.page for one in (noted.called, noted.latest) if one] == ["https://kfp/run"]
    assert queue.submitted(called, "another", "https://kfp/run") == called


def test_the_record_stays_small_and_can_be_read_whatever_is_offered() -> None:
    uri = "gs://exports/" + "x" * (queue.LONGEST_URI - 20)
    record = EMPTY
    for n in range(2_000):
        record = queue.offer(record, Waiting(queue.identity("s", str(n)), f"{uri}/{n}", NOW), ALL, NOW).record
    record = queue.drop(record, record.waiting[0].event, Fate.REFUSED, "no {{stable}} version $(here) \ud800" * 100, NOW)
    text = codec.dumps(record)
    assert len(text) < 100_000
    assert len(record.heard) == queue.HEARD
    assert codec.loads(Record, text) == record


def test_a_record_without_these_fields_is_read_as_one_in_which_nobody_waits() -> None:
    old = {key: value for key, value in codec.encode(EMPTY).items() if key not in ("waiting", "heard", "called", "latest", "dropped")}
    assert codec.decode(Record, old) == EMPTY


def test_the_beginning_of_a_release_ends_the_claim(world: World, plan: Plan) -> None:
    platform = world.platform()
    ledger.update(platform, lambda r: queue.offer(r, candidate(7), NEWEST, platform.clock.now()).record)
    ledger.update(platform, lambda r: queue.call(r, candidate(7).event, platform.clock.now()))
    ledger.begin(platform, plan, queue.release_id(platform.model, candidate(7).event))
    record = ledger.read(platform)
    assert record.called is None
    assert record.latest is not None
    assert record.latest.candidate == candidate(7)
    assert not queue.is_free(record, platform.clock.now())
    end_as(platform, queue.release_id(platform.model, candidate(7).event), State.PROMOTED, "good")
    assert queue.is_free(ledger.read(platform), platform.clock.now())


@dataclass
class Road:
    """One record under any order of offers, looks, beginnings and ends; what was called, in order."""

    policy: WaitingPolicy
    record: Record = EMPTY
    now: datetime = NOW
    called: list[int] = field(default_factory=list)
    active: bool = False

    def step(self, what: str, number: int) -> None:
        if what == "offer":
            self.record = queue.offer(self.record, candidate(number), self.policy, self.now).record
        elif what == "look":
            self._look()
        elif what == "begin" and self.record.called and not self.active:
            self.record, self.active = begun(self.record), True
        elif what == "rival" and not self.active:
            self._rival()
        elif what == "end":
            self.active = False
        elif what == "wait":
            self.now += queue.BEGINS

    def _rival(self) -> None:
        """A person's release begins; whoever was called is so no more."""
        if self.record.called:
            self.called.pop()
        self.record, self.active = queue.begun(self.record, "another", self.policy, self.now), True

    def _look(self) -> None:
        # The release itself is the ledger's; here it is a flag beside the record.
        turn = None if self.active else queue.next_up(self.record, self.now)
        if turn:
            alive = self.record.called is not None and self.record.called.until > self.now
            assert not alive, "never two claims"
            self.record = queue.call(self.record, turn.event, self.now)
            self.called.append(int(turn.model_uri.rpartition("/")[2]))


STEPS = st.tuples(st.sampled_from(["offer"] * 4 + ["look", "look", "begin", "rival", "end", "wait"]), st.integers(1, 12))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=60), policy=st.sampled_from(list(WaitingPolicy)))
def test_in_any_order_nobody_goes_twice_none_goes_after_a_newer_one_and_the_newest_wins(
    steps: list[tuple[str, int]], policy: WaitingPolicy
) -> None:
    road = Road(policy)
    for what, number in steps:
        road.step(what, number)
    told = [number for what, number in steps if what == "offer"]
    for _ in range(2 * queue.MOST):
        for what in ("end", "look", "begin", "end"):
            road.step(what, 0)
    assert len(set(road.called)) == len(road.called)
    assert set(road.called) <= set(told)
    begun_in_order = road.called == sorted(road.called)
    assert begun_in_order or any(one.fate is Fate.LATE for one in road.record.dropped), (
        "only a claim that came to nothing lets an older one go"
    )
    if told and not road.record.dropped:
        assert road.called == sorted(set(told))
    if told:
        gone = {one.candidate.model_uri: one.fate for one in road.record.dropped}
        assert max(told) in road.called
        assert gone.get(candidate(max(told)).model_uri) in (None, Fate.LATE)
    assert road.record.waiting == ()


@given(numbers=st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_while_the_road_is_taken_only_the_newest_is_left(numbers: list[int]) -> None:
    record = offered(EMPTY, *(candidate(n, event=f"{i}") for i, n in enumerate(numbers)))
    assert versions(record) == [str(max(numbers))]
    assert len(record.dropped) <= queue.MOST


def test_identities_do_not_run_into_each_other() -> None:
    assert queue.identity("a", "bc") != queue.identity("ab", "c")
    found: Any = queue.identity("\ud800", "x" * 10_000)
    assert len(found) == 16


def test_a_claim_survives_the_codec() -> None:
    record = queue.submitted(queue.call(offered(EMPTY, candidate(7)), candidate(7).event, NOW), candidate(7).event, "page")
    assert codec.loads(Record, codec.dumps(record)) == record
    assert replace(record, called=None) != record
