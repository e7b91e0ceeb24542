"""What a comparison says about columns: drift, no drift, too few rows, or another schema."""

import re

import numpy as np
import pyarrow as pa
import pytest

from bench.drifting import columns
from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused
from tfcanary.decide.drift import ComparisonSettings, Profile, compare, from_bytes, profile, to_bytes

TRACKS = ComparisonSettings(reference="stable", current="the canary")


def comparing(reference, current, settings=TRACKS, look=1):
    """Two tables compared, the second in the layout of the first."""
    first = profile(pa.table(reference).to_batches())
    return compare(first, profile(pa.table(current).to_batches(), first.layout), settings, look)


def only(reference, current, **more):
    """The finding of one column."""
    (column,) = comparing({"x": reference}, {"x": current}, **more).columns
    return column


def normal(n, shift=0.0, seed=0):
    return np.random.default_rng([seed, n, int(shift * 100)]).normal(shift, 1, n)


def texts(counts):
    return pa.array([value for value, number in counts.items() for _ in range(number)])


def test_a_number_that_drifts_fails_and_the_sentence_says_where_and_how_much():
    column = only(normal(9_800), normal(2_140, 0.5))
    assert column.finding is Finding.FAIL
    assert column.reason.startswith("up to 0.")
    assert "of the canary's rows against" in column.reason
    assert column.reason.endswith("(about 21 % of rows moved), 2,140 and 9,800 rows")
    assert column.effect == pytest.approx(0.197, abs=0.02)


def test_a_class_that_drifts_is_named():
    column = only(texts({"a": 4_312, "b": 4_312, "class 3": 1_176}), texts({"a": 738, "b": 739, "class 3": 663}))
    expected = "class 3: 31 % of the canary's rows against 12 % of stable's (about 19 % of rows moved), 2,140 and 9,800 rows"
    assert (column.finding, column.reason) == (Finding.FAIL, expected)


def test_seven_percent_is_a_warning_and_one_percent_of_a_million_rows_is_not():
    assert only(normal(20_000), normal(20_000, 0.18)).finding is Finding.WARN
    column = only(normal(300_000), normal(300_000, 0.03))
    assert column.finding is Finding.PASS
    assert "not by chance, but too few to matter" in column.reason


def test_what_could_not_have_been_seen_is_inconclusive_and_says_how_many_would_be_enough():
    column = only(normal(1_000), normal(60))
    assert column.finding is Finding.INCONCLUSIVE
    assert column.reason == "60 and 1,000 rows are too few to tell whether 10 % of rows moved: about 210 and 3,500 would be enough"
    assert only(normal(3_500), normal(210)).finding is Finding.PASS


def test_no_rows_on_either_side_say_whose_are_missing():
    empty = pa.array([], pa.float64())
    assert only(normal(500), empty).reason == "no rows of the canary: about 390 of each would be enough"
    assert only(empty, normal(500)).reason == "no rows of stable: about 390 of each would be enough"
    assert compare(Profile(), Profile()).finding is Finding.INCONCLUSIVE


def test_one_row_is_too_few():
    assert only([1.0], [2.0]).finding is Finding.INCONCLUSIVE
    assert only(["a"], ["b"]).finding is Finding.INCONCLUSIVE


@pytest.mark.parametrize("missing", [None, np.nan])
def test_nulls_and_nan_are_drift_by_themselves(missing):
    reference = pa.array([1.5] * 9_900 + [missing] * 100, pa.float64())
    column = only(reference, pa.array([1.5] * 4_400 + [missing] * 600, pa.float64()))
    word = "NaN" if missing else "null"
    assert column.finding is Finding.FAIL
    assert (
        column.reason == f"{word} in 12 % of the canary's rows against 1.0 % of stable's (about 11 % of rows moved), 5,000 and 10,000 rows"
    )


def test_a_column_null_everywhere_is_alike_until_values_come():
    nulls = pa.nulls(2_000, pa.float64())
    assert only(nulls, nulls).finding is Finding.PASS
    assert "null in 0 % of the canary's rows against 100 % of stable's" in only(nulls, normal(2_000)).reason
    assert only(pa.nulls(2_000), normal(2_000)).finding is Finding.FAIL
    assert only(normal(2_000), pa.nulls(2_000)).finding is Finding.FAIL


def test_values_that_few_rows_have_can_move_few_rows_only():
    def seldom(n, shift):
        return pa.array(normal(n, shift), mask=np.arange(n) % 50 > 0)

    column = only(seldom(5_000, 0), seldom(5_000, 9))
    assert column.finding is Finding.PASS
    assert column.effect == pytest.approx(0.02)


def test_values_that_were_never_seen_are_drift_though_each_is_rare():
    rng = np.random.default_rng(0)
    known = rng.integers(0, 200, 20_000)
    new = np.where(rng.random(20_000) < 0.12, rng.integers(1_000, 1_400, 20_000), rng.integers(0, 200, 20_000))
    column = only(pa.array(known).cast(pa.string()), pa.array(new).cast(pa.string()))
    assert column.finding is Finding.FAIL
    assert "have values that stable does not have" in column.reason or "against 0 %" in column.reason
    assert next(test for test in column.tests if test.about == "unseen values").effect == pytest.approx(0.12, abs=0.01)


def test_infinite_values_are_seen_as_the_largest():
    column = only(normal(5_000), np.where(np.arange(5_000) % 5, normal(5_000, seed=1), np.inf))
    assert column.finding is Finding.FAIL
    assert column.reason.startswith("infinity in 20 % of the canary's rows against 0 % of stable's")


def test_dates_are_named_as_dates():
    days = np.arange("1965-01-01", "1973-01-01", dtype="datetime64[D]")
    assert re.match(r"(up to|later than) 19(6[5-9]|7[0-4])-\d\d-\d\d \d\d:\d\d:\d\d: ", only(days, days[500:]).reason)


def test_values_beyond_all_of_the_reference_are_named_with_its_range():
    days = np.arange("1965-01-01", "1973-01-01", dtype="datetime64[D]")
    column = only(days, days + 700)
    assert column.finding is Finding.FAIL
    assert re.match(r"24 % of the canary's rows lie beyond all values of stable \(about 1965-01-0. .* to 197[23]-", column.reason)


def test_another_schema_fails_before_any_statistics():
    found = comparing({"Age": [1.0] * 900, "x": ["a"] * 900, "old": [1] * 900}, {"age": [1.0] * 900, "x": [1] * 900, "new": [1] * 900})
    assert {c.name: (c.finding, c.reason) for c in found.columns} == {
        "Age": (Finding.FAIL, "is missing: the canary does not have it, but has 'age'"),
        "age": (Finding.FAIL, "is new: stable does not have it, but has 'Age'"),
        "new": (Finding.FAIL, "is new: stable does not have it"),
        "old": (Finding.FAIL, "is missing: the canary does not have it"),
        "x": (Finding.FAIL, "holds number values where stable has category values"),
    }


def test_values_that_are_not_compared_leave_only_those_undecided_who_asked_for_them():
    maps = pa.array([[("a", 1)]] * 3_000, pa.map_(pa.string(), pa.int64()))
    column = only(maps, maps)
    assert (column.finding, column.reason) == (Finding.PASS, "holds values that are not compared; only nulls are counted")
    first = profile([pa.record_batch({"x": maps})])
    (asked_for,) = compare(first, first, ComparisonSettings(columns=("x",))).columns
    assert asked_for.finding is Finding.INCONCLUSIVE


@pytest.mark.parametrize(("share", "finding"), [(0.005, Finding.PASS), (0.02, Finding.WARN), (0.06, Finding.FAIL)])
def test_values_never_seen_and_missing_ones_have_limits_of_their_own(share, finding):
    n = 20_000
    odd = round(share * n)
    before = pa.array(["a", "b"] * (n // 2))
    unseen = only(before, pa.array(["new"] * odd + ["a", "b"] * ((n - odd) // 2)))
    missing = only(before, pa.array([None] * odd + ["a", "b"] * ((n - odd) // 2), pa.string()))
    not_a_number = only(pa.array([1.0, 2.0] * (n // 2)), pa.array([float("nan")] * odd + [1.0, 2.0] * ((n - odd) // 2)))
    assert [one.finding for one in (unseen, missing, not_a_number)] == [finding] * 3


def test_one_value_in_two_units_is_one_value():
    seconds = pa.array([60 * (i % 1_000) for i in range(4_000)], pa.duration("s"))
    clock = pa.array([60 * (i % 1_000) for i in range(4_000)], pa.time32("s"))
    for one, other in ((seconds, seconds.cast(pa.duration("ns"))), (clock, clock.cast(pa.time64("us")))):
        assert only(one, other).finding is Finding.PASS


def test_rows_of_which_nothing_could_be_read_are_no_pass():
    nothing = Profile(0, (), dropped=2_000)
    assert compare(nothing, nothing).finding is Finding.INCONCLUSIVE


def test_cells_too_coarse_to_see_a_drift_are_inconclusive():
    """Sorted rows: the first 65,536 do not hint at the narrow mode far away, in which the drift is."""
    near, far = normal(70_000), 1e9 + normal(70_000, seed=1)
    column = only(np.concatenate([near, far]), np.concatenate([near, far + 0.5]))
    assert column.finding is Finding.INCONCLUSIVE
    assert "of the rows lie in one cell" in column.reason


def test_a_stored_reference_compares_as_a_fresh_one():
    first = profile(pa.table({"x": normal(3_000), "s": ["a", "b", "c"] * 1_000}).to_batches())
    second = profile(pa.table({"x": normal(3_000, 0.4), "s": ["a", "b", "b"] * 1_000}).to_batches(), first.layout)
    assert compare(from_bytes(to_bytes(first)), second) == compare(first, second)


def test_profiles_of_different_layouts_cannot_be_compared():
    with pytest.raises(Refused, match="counted with different layouts"):
        compare(profile(pa.table({"x": normal(10)}).to_batches()), profile(pa.table({"x": normal(11)}).to_batches()))


def test_an_exact_profile_is_compared_with_one_of_too_many_values():
    few = pa.array([f"{i % 60_000}" for i in range(100_000)])
    many = pa.array([f"{i % 70_000}" for i in range(100_000)])
    assert only(few, many).finding is not Finding.FAIL
    assert only(few, pa.array(["one"] * 50_000 + [f"{i}" for i in range(50_000)])).finding is Finding.FAIL


def test_later_looks_need_more_evidence():
    reference, current = normal(1_000), normal(1_000, 0.3)
    assert [only(reference, current, look=look).finding for look in (1, 2_000)] == [Finding.FAIL, Finding.INCONCLUSIVE]


def test_the_pictures_bars_add_up_to_all_rows():
    found = comparing({"x": normal(2_000), "s": [f"{i % 30}" for i in range(2_000)]}, {"x": normal(999), "s": ["é"] * 999})
    for column in found.columns:
        assert 2 < len(column.bars) <= 10
        assert sum(bar.reference for bar in column.bars) == pytest.approx(1)
        assert sum(bar.current for bar in column.bars) == pytest.approx(1)


def test_hostile_values_are_shown_short_and_without_control_characters():
    hostile = pa.array([b"\xff\x00\x1b[31m" + b"<script>" * 50] * 900 + [b"b"] * 100)
    column = only(hostile, pa.array([b"b"] * 1_000))
    assert column.finding is Finding.FAIL
    label = column.bars[0].label
    assert "\x1b" not in column.reason + label
    assert len(label) <= 40


def test_heavy_tails_and_fifty_thousand_categories_raise_no_alarm():
    def undrifted(seed):
        rng = np.random.default_rng(seed)
        n = 60_000
        return {
            "t2": rng.standard_t(2, n),
            "Pareto": rng.pareto(1.1, n),
            "Cauchy": rng.standard_cauchy(n),
            "k50000": pa.array(rng.integers(0, 50_000, n)).cast(pa.string()),
            "Zipf": pa.array(rng.zipf(1.3, n)).cast(pa.string()),
            "atoms": rng.choice([0.0, 0.5, 9.99], n, p=[0.9, 0.05, 0.05]),
        }

    for seed in range(3):
        found = comparing(undrifted([seed, 0]), undrifted([seed, 1]))
        assert not [column for column in found.columns if column.finding in (Finding.WARN, Finding.FAIL)]


def drifted_columns(reference, batches):
    found = compare(reference, profile(batches, reference.layout))
    return {int(column.name[1:]) for column in found.columns if column.finding in (Finding.WARN, Finding.FAIL)}


def alarms(n, seeds):
    """The share of undrifted columns, and of comparisons, that are flagged."""
    found = [len(drifted_columns(profile(columns(n, [seed, n, 0])), columns(n, [seed, n, 1]))) for seed in seeds]
    return sum(found) / (50 * len(found)), sum(map(bool, found)) / len(found)


def power(n, seeds):
    """The share of drifted columns that are flagged when 10 of 50 drift."""
    hits = 0
    for seed in seeds:
        drifted = set(np.random.default_rng(seed).choice(50, 10, replace=False).tolist())
        hits += len(drifted & drifted_columns(profile(columns(n, [seed, n, 0])), columns(n, [seed, n, 2], drifted)))
    return hits / (10 * len(seeds))


@pytest.mark.parametrize("n", [500, 2_000])
def test_of_four_hundred_columns_without_drift_one_is_flagged_at_most(n):
    assert alarms(n, range(8))[0] <= 1 / 400


@pytest.mark.parametrize(("n", "least"), [(500, 0.92), (2_000, 0.99)])
def test_columns_that_moved_a_fifth_of_their_rows_are_found(n, least):
    assert power(n, range(6)) >= least


@pytest.mark.slow
@pytest.mark.parametrize("n", [500, 2_000])
def test_false_alarms_stay_below_one_column_in_a_thousand_and_three_comparisons_in_a_hundred(n):
    columns_flagged, comparisons_flagged = alarms(n, range(1_000, 1_200))
    assert columns_flagged <= 0.001
    assert comparisons_flagged <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("n", "least"), [(500, 0.955), (2_000, 0.995)])
def test_power_over_many_seeds(n, least):
    assert power(n, range(100)) >= least
