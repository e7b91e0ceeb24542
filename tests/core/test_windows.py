"""When weights may rise: on the clock of the window's zone, right at both changes of daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tfcanary.core import codec
from tfcanary.core.documents import read_document
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan
from tfcanary.core.plan.outlook import outlook
from tfcanary.core.plan.windows import first_shown

WORK = {"zone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}
CHRISTMAS = {"zone": "Europe/Berlin", "from": "2026-12-21", "to": "2027-01-06", "why": "Christmas"}
BERLIN = ZoneInfo("Europe/Berlin")


def plan_of(*windows: dict[str, Any], freeze: Any = (), **rest: Any) -> Plan:
    plan: Plan = codec.decode(Plan, {"windows": list(windows), "freeze": list(freeze), **rest})
    return plan


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "rises"),
    [
        ("2026-12-01 15:59", "2026-12-01 15:59"),
        ("2026-12-01 16:00", "2026-12-02 08:00"),
        ("2026-12-04 16:00", "2026-12-07 08:00"),  # a weekend
        ("2026-07-01 07:00", "2026-07-01 07:00"),  # in summer an hour earlier
        ("2026-12-18 17:00", "2027-01-07 08:00"),  # the freeze, whose last day belongs to it
        ("2026-03-27 17:00", "2026-03-30 07:00"),  # the clock goes forward meanwhile
        ("2026-10-23 17:00", "2026-10-26 08:00"),  # and back
    ],
)
def test_a_weight_may_rise_in_its_windows_and_outside_every_freeze(at: str, rises: str) -> None:
    assert plan_of(WORK, freeze=[CHRISTMAS]).next_rise(utc(at)) == utc(rises)


@pytest.mark.parametrize(
    ("opens", "closes", "spring", "autumn"),
    [
        ("01:00", "02:30", ("00:00", "01:00"), ("23:00", "00:30")),
        ("02:30", "05:00", ("01:00", "03:00"), ("00:30", "04:00")),
        ("02:00", "03:00", None, ("00:00", "02:00")),  # in spring this hour is not there
        ("09:00", "17:00", ("07:00", "15:00"), ("08:00", "16:00")),
    ],
)
def test_a_window_is_right_on_both_days_on_which_the_clock_changes(opens: str, closes: str, spring: Any, autumn: Any) -> None:
    plan = plan_of({"zone": "Europe/Berlin", "from": opens, "to": closes})
    for day, expected in (("2026-03-29", spring), ("2026-10-25", autumn)):
        midnight = datetime.fromisoformat(day).replace(tzinfo=BERLIN).astimezone(UTC)
        opened = plan.next_rise(midnight)
        if expected is None:
            assert opened > midnight + timedelta(hours=23)
        else:
            closed = plan.closes(opened)
            assert closed is not None
            assert (f"{opened:%H:%M}", f"{closed:%H:%M}") == expected


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    plan = plan_of({"zone": "UTC", "days": ["fri"], "from": "22:00", "to": "06:00"})
    assert plan.next_rise(utc("2026-12-05 05:59")) == utc("2026-12-05 05:59")
    assert plan.next_rise(utc("2026-12-05 06:00")) == utc("2026-12-11 22:00")


def test_windows_that_meet_are_one_and_whole_days_never_close() -> None:
    halves = plan_of({"zone": "UTC", "from": "09:00", "to": "12:00"}, {"zone": "UTC", "from": "12:00", "to": "17:00"})
    assert halves.closes(utc("2026-12-01 10:00")) == utc("2026-12-01 17:00")
    assert plan_of({"zone": "UTC"}).closes(utc("2026-12-01 10:00")) is None
    assert Plan().closes(utc("2026-12-01 10:00")) is None


def test_a_freeze_closes_a_window_that_is_open() -> None:
    plan = plan_of(freeze=[{"zone": "America/New_York", "from": "2026-12-01 12:00", "to": "2026-12-01 14:00"}])
    assert plan.closes(utc("2026-12-01 16:00")) == utc("2026-12-01 17:00")
    assert plan.next_rise(utc("2026-12-01 17:00")) == utc("2026-12-01 19:00")


@given(
    some.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), some.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"])
)
def test_a_clock_first_shows_a_time_where_a_minute_before_it_showed_less(wall: datetime, zone: str) -> None:
    wall, known = wall.replace(second=0, microsecond=0), ZoneInfo(zone)
    at = first_shown(wall, known)
    assert at.astimezone(known).replace(tzinfo=None) >= wall
    assert (at - timedelta(minutes=1)).astimezone(known).replace(tzinfo=None) < wall


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"windows": [{"zone": "Europe/Berln"}]}, "$.windows[0]: zone 'Europe/Berln': is no IANA zone; did you mean 'Europe/Berlin'?"),
        ({"windows": [{"zone": "../etc"}]}, "$.windows[0]: zone '../etc': must be the name of an IANA zone such as Europe/Berlin"),
        ({"windows": [{"from": "09:00"}]}, "$.windows[0].zone: is missing"),
        ({"windows": [{**WORK, "from": "9am"}]}, "$.windows[0]: from '9am': must be a time of the day such as 09:00"),
        ({"windows": [{**WORK, "to": "9:00"}]}, "$.windows[0]: to '9:00': must be a time of the day such as 09:00"),
        ({"windows": [{**WORK, "to": "09:00"}]}, "$.windows[0]: from 09:00, to 09:00: must differ; for whole days leave both out"),
        ({"windows": [{**WORK, "days": []}]}, "$.windows[0]: days []: must name at least one day, and each once: mon, tue"),
        ({"windows": [{**WORK, "days": ["monday"]}]}, "$.windows[0].days[0]: 'monday' is not one of mon, tue"),
        ({"freeze": [{**CHRISTMAS, "from": "21.12."}]}, "$.freeze[0]: from '21.12.': must be a date such as 2026-12-20"),
        ({"freeze": [{**CHRISTMAS, "to": "2026-12-20"}]}, "$.freeze[0]: from 2026-12-21, to 2026-12-20: must rise"),
        ({"freeze": [{**CHRISTMAS, "to": "2027-02-01"}]}, "from its beginning on no weight may rise for 43 days; must be at most 28"),
    ],
)
def test_a_wrong_window_is_refused_with_path_value_and_what_would_be_right(document: Any, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        codec.decode(Plan, document)
    assert sentence in str(refused.value)


def test_times_and_dates_need_no_quotes_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("windows: [{zone: UTC, from: 09:00, to: 17:00}]\nfreeze: [{zone: UTC, from: 2026-12-21, to: 2026-12-24 18:00}]")
    plan: Plan = codec.decode(Plan, read_document(path))
    assert (plan.windows[0].to, plan.freeze[0].from_, plan.freeze[0].to) == ("17:00", "2026-12-21", "2026-12-24 18:00")
    assert codec.decode(Plan, codec.brief(plan)) == plan


def test_a_release_outside_its_windows_is_told_when_it_rises_first() -> None:
    said = outlook(plan_of(WORK, freeze=[CHRISTMAS]), utc("2026-12-24 12:00"))
    assert said[0] == "outside its windows (Christmas): the first weight rises on Thu 2027-01-07 09:00 CET at the earliest"


def test_a_release_that_cannot_end_inside_its_window_is_told_where_it_will_wait() -> None:
    said = outlook(plan_of(WORK), utc("2026-12-04 15:52"))
    assert said == (
        "the release cannot end inside the window that closes on Fri 2026-12-04 17:00 CET: it needs at least 15m, so stage 1 waits at 25 % "
        "until Mon 2026-12-07 09:00 CET, and users get the candidate all the while",
        "it can be promoted on Mon 2026-12-07 09:05 CET at the earliest",
    )


def test_a_release_that_fits_is_told_when_its_window_closes() -> None:
    assert outlook(plan_of(WORK), utc("2026-12-04 12:00")) == (
        "the window closes on Fri 2026-12-04 17:00 CET; the release needs at least 15m, and where it is not done it waits",
    )
    assert outlook(Plan(), utc("2026-12-04 12:00")) == ()
    assert outlook(plan_of(WORK, override_window="a fix"), utc("2026-12-05 12:00")) == ()
