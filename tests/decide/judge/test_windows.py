"""From raw counters to counts: what each odd counter means."""

from dataclasses import replace

import pytest

from tests.decide.judge.literal import down
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.decide.judge.counted_windows import BUCKETS, Buckets, change, read, total

NAN, INF = float("nan"), float("inf")
HISTOGRAM = tuple(float(10 * k) for k in range(BUCKETS))


def track(**servers: Counters) -> Sample:
    return Sample(Track.CANARY, True, servers)


def change_between(before: Counters, now: Counters):
    return change(read(track(a=before)), read(track(a=now)))


def test_counts_are_differences_server_by_server_then_summed():
    before = read(track(a=Counters(100, {"INTERNAL": 1}), b=Counters(1000, {"INTERNAL": 5})))
    now = read(track(a=Counters(130, {"INTERNAL": 1, "UNAVAILABLE": 2}), b=Counters(1070, {"INTERNAL": 6})))
    counts = change(before, now).counts
    assert (counts.ok, counts.failed, counts.requests) == (100, 3, 103)


def test_a_server_that_counts_less_was_restarted_and_only_its_part_is_lost():
    before = read(track(a=Counters(1e6), b=Counters(500)))
    now = read(track(a=Counters(40), b=Counters(520)))
    result = change(before, now)
    assert (result.counts.ok, result.restarted, result.whole) == (20, ("a",), False)


@pytest.mark.parametrize(
    "now",
    [
        Counters(200, {"INTERNAL": 4}),  # errors fell
        Counters(200, {"INTERNAL": 5}, latency=tuple(max(h - 1, 0.0) for h in HISTOGRAM)),
        Counters(200, {"INTERNAL": 5}, quality=(80.0, 80.0, 99.0)),
        Counters(200, {"INTERNAL": 5}, classes=(61.0, 38.0)),
        Counters(200, {"INTERNAL": 5}, HISTOGRAM, latency_sum=950.0),
    ],
)
def test_any_counter_that_falls_is_a_restart(now):
    before = Counters(100, {"INTERNAL": 5}, HISTOGRAM, (70.0, 60.0, 100.0), (60.0, 40.0), latency_sum=1000.0)
    assert change_between(before, now).restarted == ("a",)


def test_a_sum_of_quality_values_may_fall_without_a_restart():
    result = change_between(Counters(100, quality=(-5.0, 10.0, 100.0)), Counters(110, quality=(-9.0, 12.0, 110.0)))
    assert result.restarted == ()
    assert result.counts.quality == (-4.0, 2.0, 10.0)


def test_a_server_that_came_or_went_contributes_nothing_to_the_window():
    result = change(read(track(a=Counters(100), b=Counters(10))), read(track(b=Counters(15), c=Counters(7000))))
    assert (result.counts.ok, result.joined, result.whole) == (5, ("c",), False)


@pytest.mark.parametrize("bad", [NAN, -1.0, INF, 1e31])
def test_a_request_count_that_is_no_count_means_that_the_track_was_not_counted(bad):
    assert read(track(a=Counters(bad), b=Counters(5))) is None
    assert read(track(a=Counters(1, {"INTERNAL": bad}), b=Counters(5))) is None


def test_a_track_that_is_down_or_has_no_server_was_not_counted():
    assert read(down(Track.CANARY)) is None
    assert read(Sample(Track.CANARY, True, {})) is None
    assert read(Sample(Track.CANARY, False, {"a": Counters(5)})) is None, "some servers may be missing"


def in_bucket(index, count):
    """A cumulative histogram whose requests all lie in one bucket."""
    return (0.0,) * index + (float(count),) * (BUCKETS - index)


def test_the_sum_of_the_latencies_rises_by_what_each_server_that_stayed_adds():
    a, b = (Counters(n, latency=in_bucket(1, n), latency_sum=15.0 * n) for n in (100, 40))
    later = read(track(a=replace(a, ok=110, latency=in_bucket(1, 110), latency_sum=1640.0), c=b))
    risen = change(read(track(a=a, b=b)), later).counts.latency_sum
    assert (risen.risen, risen.before, risen.after) == (140.0, 1500.0, 1640.0), "what left and what joined count nothing"
    assert total(later).latency_sum.risen == 2240.0


@pytest.mark.parametrize("unknown", [None, NAN, -1.0, INF])
def test_a_track_of_which_one_server_exports_no_sum_has_none(unknown):
    first = Counters(5, latency=in_bucket(1, 5), latency_sum=70.0)
    second = replace(first, latency_sum=unknown)
    assert total(read(track(a=first, b=second))).latency_sum is None
    assert total(read(track(a=first, b=Counters(0)))).latency_sum.risen == 70, "a server without a histogram has answered nothing yet"


def test_a_sum_that_falls_by_its_rounding_is_no_restart():
    first = Counters(5, latency=in_bucket(1, 5), latency_sum=1e9)
    result = change_between(first, replace(first, ok=6, latency=in_bucket(1, 6), latency_sum=1e9 - 1))
    assert result.restarted == ()
    assert result.counts.latency_sum.risen == -1


@pytest.mark.parametrize("risen", [0.05, 200.0])
def test_a_sum_that_its_histogram_contradicts_is_left_out(risen):
    """Ten more requests of 10 to 18 microseconds take 100 to 180: not 0.05, as in milliseconds, nor 200."""
    first = Counters(5, latency=in_bucket(1, 5), latency_sum=70.0)
    result = change_between(first, replace(first, ok=15, latency=in_bucket(1, 15), latency_sum=70.0 + risen))
    assert (result.counts.ok, result.counts.latency_sum) == (10, None)


@pytest.mark.parametrize("histogram", [(1.0, 2.0), (NAN, *HISTOGRAM[1:]), (-1.0, *HISTOGRAM[1:])])
def test_a_histogram_that_makes_no_sense_is_none(histogram):
    result = change_between(Counters(5, latency=HISTOGRAM), Counters(9, latency=histogram))
    assert (result.counts.latency, result.counts.ok, result.restarted) == (None, 4, ())


def test_a_torn_histogram_counts_nothing_where_it_falls():
    torn = (5.0, 3.0, *(9.0,) * (BUCKETS - 2))
    counts = change_between(Counters(1, latency=(0.0,) * BUCKETS), Counters(9, latency=torn)).counts
    assert counts.latency.dense()[:4].tolist() == [5, 0, 6, 0]


@pytest.mark.parametrize("quality", [(NAN, 1.0, 5.0), (1.0, 1.0, NAN), (1.0, 1.0, -5.0), (INF, 1.0, 5.0)])
def test_quality_values_that_make_no_sense_are_none(quality):
    assert change_between(Counters(1, quality=(0.0, 0.0, 0.0)), Counters(2, quality=quality)).counts.quality is None


def test_squares_that_are_not_exported_are_unknown_and_stay_so():
    first = change_between(Counters(0, quality=(0.0, NAN, 0.0)), Counters(5, quality=(3.0, NAN, 5.0))).counts
    assert first.quality == (3.0, None, 5.0)
    assert first.plus(change_between(Counters(0, quality=(0.0, 0.0, 0.0)), Counters(5, quality=(3.0, 2.0, 5.0))).counts).quality == (
        6.0,
        None,
        10.0,
    )


def test_servers_that_know_different_classes_are_not_added_up():
    before = read(track(a=Counters(0, classes=(0.0, 0.0)), b=Counters(0, classes=(0.0, 0.0, 0.0))))
    now = read(track(a=Counters(5, classes=(1.0, 4.0)), b=Counters(5, classes=(1.0, 1.0, 3.0))))
    assert change(before, now).counts.classes == ()


def test_counters_near_a_trillion_lose_nothing():
    assert change_between(Counters(1e12, {"INTERNAL": 1e9}), Counters(1e12 + 7, {"INTERNAL": 1e9 + 1})).counts.requests == 8


def test_the_total_is_what_was_counted_since_the_start():
    everything = total(read(track(a=Counters(5, latency=HISTOGRAM), b=Counters(6, latency=HISTOGRAM))))
    assert everything.ok == 11
    assert everything.latency.dense().sum() == 2 * HISTOGRAM[-1]


def test_buckets_are_kept_without_the_empty_ends():
    kept = Buckets.of(total(read(track(a=Counters(3, latency=(0.0,) * 9 + (2.0, 2.0, 3.0) + (3.0,) * (BUCKETS - 12))))).latency.dense())
    assert kept == Buckets(9, (2.0, 0.0, 1.0))
    assert Buckets.of(Buckets(0, ()).dense()) == Buckets(0, ())


def test_a_name_that_other_programs_would_expand_is_made_plain():
    (name,) = read(Sample(Track.CANARY, True, {"{{pod}}$(x)<b>": Counters(5)}))
    assert not set("{}$<>") & set(name)
