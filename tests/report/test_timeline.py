"""What the watcher fills in, poll by poll."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

from tfcanary.core import codec, timeline
from tfcanary.core.domain import Counters, Decision, Evidence, Finding, Interval, Sample, Track, Verdict
from tfcanary.core.timeline import MOST, Timeline

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ERRORS = Evidence("metrics/errors", Finding.INCONCLUSIVE, "too few", interval=Interval(0.123456789, 1.0, 9.0))
SHOWN = Evidence("drift/scores", Finding.WARN, "moved", gating=False)


def sample(track: Track, **servers: float) -> Sample:
    """Counts by server; one request of each failed."""
    return Sample(track, True, {name: Counters(ok=count - 1, errors={"INTERNAL": 1}) for name, count in servers.items()})


def polled(*counts: tuple[dict[str, float], dict[str, float]], weight: int = 5, stage: int = 0) -> Timeline:
    """Polls ten seconds apart, by the servers' counts of stable and canary."""
    seen = Timeline()
    for i, (stable, canary) in enumerate(counts):
        at = NOON + timedelta(seconds=10 * i)
        verdict = Verdict(Decision.HOLD, "too few", (ERRORS, SHOWN), stage=stage, weight=weight, at=at)
        seen = timeline.extend(seen, sample(Track.STABLE, **stable), sample(Track.CANARY, **canary), verdict)
    return seen


def requests(seen: Timeline) -> list[tuple[float, float]]:
    """Cumulative requests of both tracks at each poll."""
    return [(p.stable_requests, p.canary_requests) for p in seen.points]


def test_what_was_counted_before_the_first_poll_is_not_ours() -> None:
    seen = polled(({"a": 5_000}, {"c": 10}), ({"a": 5_095}, {"c": 15}))
    assert requests(seen) == [(0, 0), (95, 5)]


def test_answered_and_failed_requests_both_count() -> None:
    before = Sample(Track.STABLE, True, {"a": Counters(ok=10)})
    after = Sample(Track.STABLE, True, {"a": Counters(ok=10, errors={"INTERNAL": 7})})
    canary = Sample(Track.CANARY, True)
    seen = timeline.extend(Timeline(), before, canary, Verdict(Decision.HOLD, "", at=NOON))
    seen = timeline.extend(seen, after, canary, Verdict(Decision.HOLD, "", at=NOON))
    assert seen.points[-1].stable_requests == 7


def test_a_server_that_restarted_counts_from_zero_again() -> None:
    assert requests(polled(({"a": 100}, {}), ({"a": 130}, {}), ({"a": 4}, {})))[-1] == (34, 0)


def test_a_server_that_appears_brings_no_past_with_it() -> None:
    assert requests(polled(({"a": 100}, {}), ({"a": 110, "b": 900_000}, {}), ({"a": 120, "b": 900_003}, {})))[-1] == (23, 0)


def test_a_server_that_did_not_answer_is_caught_up_with() -> None:
    assert requests(polled(({"a": 100}, {}), ({}, {}), ({"a": 160}, {}))) == [(0, 0), (0, 0), (60, 0)]


def test_servers_of_the_same_name_on_both_tracks_are_told_apart() -> None:
    assert requests(polled(({"pod": 100}, {"pod": 7}), ({"pod": 190}, {"pod": 17})))[-1] == (90, 10)


def test_only_what_may_decide_is_kept_and_only_finite_intervals() -> None:
    seen = polled(({"a": 1}, {}))
    assert dict(seen.points[0].findings) == {"metrics/errors": Finding.INCONCLUSIVE}
    assert seen.points[0].intervals["metrics/errors"].low == 0.123457
    endless = replace(ERRORS, interval=Interval(0.1, 1.0, float("inf")))
    open_ended = timeline.extend(Timeline(), sample(Track.STABLE), sample(Track.CANARY), Verdict(Decision.HOLD, "", (endless,), at=NOON))
    assert open_ended.points[0].intervals == {}


def test_a_verdict_without_an_instant_adds_nothing() -> None:
    assert timeline.extend(Timeline(), sample(Track.STABLE), sample(Track.CANARY), Verdict(Decision.HOLD, "")) == Timeline()


def test_requests_of_a_stage_begin_after_the_last_poll_before_it() -> None:
    seen = polled(({"a": 0}, {"c": 1}), ({"a": 0}, {"c": 5}), ({"a": 0}, {"c": 12}))
    assert timeline.canary_requests_since(seen, NOON) == 11
    assert timeline.canary_requests_since(seen, NOON + timedelta(seconds=12)) == 7
    assert timeline.canary_requests_since(seen, NOON - timedelta(seconds=1)) == 11
    assert timeline.canary_requests_since(Timeline(), NOON) == 0


@cache
def _long() -> Timeline:
    """A day at ten seconds, with three stages."""
    seen = Timeline()
    for i in range(8_640):
        verdict = Verdict(
            Decision.HOLD, "", (ERRORS,), stage=i // 2_880, weight=(5, 25, 50)[i // 2_880], at=NOON + timedelta(seconds=10 * i)
        )
        seen = timeline.extend(seen, sample(Track.STABLE, a=10.0 * i + 1), sample(Track.CANARY, c=i + 1.0), verdict)
    return seen


def test_a_day_of_polls_stays_small_and_loses_neither_a_stage_nor_a_request() -> None:
    seen = _long()
    assert len(seen.points) <= MOST
    assert len(codec.dumps(seen)) < 100_000
    assert [p.stage for p in seen.points] == sorted(p.stage for p in seen.points)
    assert {p.stage for p in seen.points} == {0, 1, 2}
    assert requests(seen)[-1] == (86_390, 8_639)
    began = NOON + timedelta(seconds=10 * 2_880)
    assert timeline.canary_requests_since(seen, began) == 8_639 - 2_880


def test_thinning_keeps_the_last_poll_of_a_stage_and_the_first_of_the_next() -> None:
    changes = [(b.at, a.at) for b, a in pairwise(_long().points) if b.stage != a.stage]
    assert [(after - before).total_seconds() for before, after in changes] == [10, 10]


def test_a_timeline_survives_the_codec() -> None:
    seen = polled(({"a": 1}, {"c": 1}), ({"a": 9}, {"c": 2}))
    assert codec.loads(Timeline, codec.dumps(seen)) == seen
