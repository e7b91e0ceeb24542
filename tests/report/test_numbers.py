"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tfcanary.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234, "1,234"),
        (0, "0"),
        (-3, "−3"),  # the minus sign, not the hyphen: it aligns with digits
        (1234.5, "1,234"),
        (0.02134, "0.0213"),
        (999.6, "1,000"),
        (0.0000321, "0.0000321"),
        (float("nan"), "unknown"),
        (float("inf"), "∞"),
        (1e300, "1.0·10^300"),
        (-2.5e15, "−2.5·10^15"),
    ],
)
def test_a_plain_number(value: float, text: str) -> None:
    assert numbers.plain(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0021, "0.21 %"), (0.5, "50 %"), (-0.02, "−2 %"), (0.1 + 0.2, "30 %"), (1.0, "100 %")])
def test_a_share_is_in_percent(value: float, text: str) -> None:
    assert numbers.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3.4, "3.4"), (4.08, "4.1"), (1.1, "1.10"), (1.004, "1.004"), (0.92, "0.92"), (250.0, "250"), (0.0, "0")]
)
def test_a_ratio_is_more_exact_near_one(value: float, text: str) -> None:
    assert numbers.ratio(value) == text


def test_a_ratio_beside_an_axis_has_no_decimals_that_are_zero() -> None:
    assert [numbers.tick_writer("ratio to stable")(v) for v in (1.0, 1.5)] == ["1", "1.5"]
    assert numbers.tick_writer("share")(0.5) == "50 %"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (45, "45 s"),
        (60, "1 min"),
        (75, "75 s"),
        (90, "1 min 30 s"),
        (720, "12 min"),
        (5400, "1 h 30 min"),
        (3600, "1 h"),
        (273_600, "3 d 4 h"),
        (3605, "1 h"),  # seconds do not matter beside hours
        (0.0123, "12.3 ms"),
        (0, "0 s"),
        (-45, "−45 s"),
        (float("inf"), "∞"),
    ],
)
def test_a_duration_names_its_two_largest_units(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_a_duration_may_be_a_timedelta() -> None:
    assert numbers.duration(timedelta(minutes=12)) == "12 min"


def test_a_moment_is_in_utc_whatever_its_zone() -> None:
    east = datetime(2026, 1, 31, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert numbers.moment(east) == "2026-01-31 12:00:00 UTC"
    assert numbers.clock(datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)) == "12:00:05"


def test_each_unit_is_written_its_way() -> None:
    units = ("ratio to stable", "share", "share of rows", "seconds", "ms")
    assert [numbers.writer(u)(0.5) for u in units] == ["0.50", "50 %", "50 %", "500 ms", "0.5"]
    assert [numbers.unit_words(u) for u in units] == ["ratio to stable", "", "share of rows", "", "ms"]


def test_both_tracks_are_alike_at_one_for_ratios_and_parts_and_at_zero_for_differences() -> None:
    units = ("ratio to stable", "part of the configured share", "difference of accuracy, canary - stable")
    assert [numbers.no_difference(u) for u in units] == [1.0, 1.0, 0.0]
