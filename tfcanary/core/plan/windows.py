"""The part of a plan about when weights may rise: windows of the week, and freezes. A rollback never asks.

All times are read on the clock of an IANA zone. A window opens, and closes, when that clock first shows the time or a later one: an hour
that the clock skips in spring is no part of a window, and of a time that it shows twice in autumn the first showing counts.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from enum import StrEnum
from zoneinfo import ZoneInfo, available_timezones

MOST_WINDOWS = 20
MOST_FREEZES = 50
LONGEST_CLOSED = timedelta(days=28)
"""The longest time from the beginning of a freeze until weights may rise again: a stage waits so long at its weight."""
FULL_DAY = "24:00"
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_AHEAD = 16
"""Days in which every window opens at least once, also where the clock skips it once."""


class Day(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Day)


@dataclass(frozen=True, slots=True)
class Span:
    """A time from one instant to another, without the second."""

    begins: datetime
    ends: datetime

    def has(self, at: datetime) -> bool:
        """Whether an instant lies in it."""
        return self.begins <= at < self.ends


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """A time of the week in which weights may rise."""

    zone: str
    """The IANA zone on whose clock the times are read, for example `Europe/Berlin`."""
    days: tuple[Day, ...] = WEEK
    """The days on which the window opens."""
    from_: str = "00:00"
    """When it opens, for example `09:00`."""
    to: str = FULL_DAY
    """When it closes, for example `17:00`. A time that is not after `from` is one of the next day."""

    def __post_init__(self) -> None:
        _check_zone(self.zone)
        if not self.days or len(set(self.days)) < len(self.days):
            raise ValueError(f"days {[day.value for day in self.days]}: must name at least one day, and each once: {', '.join(WEEK)}")
        for name, value in (("from", self.from_), ("to", self.to)):
            if not _TIME.fullmatch(value) and (name, value) != ("to", FULL_DAY):
                raise ValueError(f"{name} {value!r}: must be a time of the day such as 09:00")
        if self.from_ == self.to:
            raise ValueError(f"from {self.from_}, to {self.to}: must differ; for whole days leave both out")

    def spans(self, around: datetime) -> Iterator[Span]:
        """Yield when the window is open from two days before an instant to more than two weeks after it."""
        zone = ZoneInfo(self.zone)
        first = around.astimezone(zone).date() - 2 * _DAY
        for day in (first + timedelta(days=number) for number in range(_AHEAD + 3)):
            if WEEK[day.weekday()] in self.days:
                last = day if self.to > self.from_ else day + _DAY
                ends = _midnight_after(last) if self.to == FULL_DAY else datetime.combine(last, time.fromisoformat(self.to))
                yield Span(first_shown(datetime.combine(day, time.fromisoformat(self.from_)), zone), first_shown(ends, zone))


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """A time in which no weight rises, whatever the windows say."""

    zone: str
    """The IANA zone on whose clock the times are read, for example `Europe/Berlin`."""
    from_: str
    """When it begins: a date such as `2026-12-20`, or with a time, `2026-12-20 18:00`."""
    to: str
    """When it ends, likewise; a date alone belongs to the freeze to its end."""
    why: str = ""
    """What people are told as the reason."""

    def __post_init__(self) -> None:
        _check_zone(self.zone)
        _moment("from", self.from_)
        _moment("to", self.to)
        if self.span.begins >= self.span.ends:
            raise ValueError(f"from {self.from_}, to {self.to}: must rise")

    @property
    def span(self) -> Span:
        """From the first instant of the freeze to the first one after it."""
        zone, begins, ends = ZoneInfo(self.zone), _moment("from", self.from_), _moment("to", self.to)
        return Span(first_shown(begins, zone), first_shown(_midnight_after(ends) if len(self.to) == len("2026-12-20") else ends, zone))


def first_shown(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which the clock of a zone first shows this time or a later one; `wall` has no zone."""
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early <= late:
        return early
    # The clock skips this time: somewhere between the two instants it goes on with a later one.
    minutes = range(round((early - late) / _MINUTE) + 1)
    return late + bisect_left(minutes, wall, key=lambda minute: _clock_time(late + minute * _MINUTE, zone)) * _MINUTE


def next_rise(windows: Sequence[WindowPlan], freezes: Sequence[FreezePlan], at: datetime) -> datetime:
    """Return the first instant from `at` on at which a weight may rise: `at` itself inside a window and outside every freeze."""
    while (later := _after_freezes(freezes, _in_window(windows, at))) > at:
        at = later
    return at


def closes(windows: Sequence[WindowPlan], freezes: Sequence[FreezePlan], at: datetime) -> datetime | None:
    """Return until when weights may rise that may rise at `at`; None where nothing ends it within two weeks."""
    horizon, end = at + _AHEAD * _DAY, at
    begins = [one.span.begins for one in freezes]
    while end < horizon:
        within = [span.ends for window in windows for span in window.spans(end) if span.has(end)]
        if not within and windows:
            return end
        later = max(within, default=horizon)
        if sooner := [one for one in begins if end < one <= later]:
            return min(sooner)
        end = later
    return None


def on_the_clock(at: datetime, windows: Sequence[WindowPlan], freezes: Sequence[FreezePlan]) -> str:
    """Return an instant as people read it, on the clock of the first window or freeze, for example `Mon 2026-12-07 09:00 CET`."""
    zones = [*(one.zone for one in windows), *(one.zone for one in freezes), "UTC"]
    return f"{at.astimezone(ZoneInfo(zones[0])):%a %Y-%m-%d %H:%M %Z}"


def check_closed(windows: Sequence[WindowPlan], freezes: Sequence[FreezePlan]) -> None:
    """Raises ValueError where weights may not rise for longer than LONGEST_CLOSED."""
    if len(windows) > MOST_WINDOWS or len(freezes) > MOST_FREEZES:
        raise ValueError(
            f"windows, freeze: have {len(windows)} and {len(freezes)} entries; must be at most {MOST_WINDOWS} and {MOST_FREEZES}"
        )
    for number, freeze in enumerate(freezes):
        begins = freeze.span.begins
        closed = next_rise(windows, freezes, begins) - begins
        if closed > LONGEST_CLOSED:
            raise ValueError(
                f"freeze[{number}] from {freeze.from_}, to {freeze.to}: from its beginning on no weight may rise for {_days(closed)} days; "
                f"must be at most {_days(LONGEST_CLOSED)}, for a stage waits no longer at its weight"
            )


def _in_window(windows: Sequence[WindowPlan], at: datetime) -> datetime:
    if not windows:
        return at
    return min(max(span.begins, at) for window in windows for span in window.spans(at) if span.begins < span.ends and span.ends > at)


def _after_freezes(freezes: Sequence[FreezePlan], at: datetime) -> datetime:
    return max((freeze.span.ends for freeze in freezes if freeze.span.has(at)), default=at)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        near = get_close_matches(name, available_timezones(), n=1)
        right = f"did you mean {near[0]!r}?" if near else "must be the name of an IANA zone such as Europe/Berlin"
        raise ValueError(f"zone {name!r}: is no IANA zone; {right}" if near else f"zone {name!r}: {right}") from None


def _moment(name: str, text: str) -> datetime:
    """Parse a date, or a date and a time, without a zone. Raises ValueError with the field's name."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or len(text) not in (len("2026-12-20"), len("2026-12-20 18:00")):
        raise ValueError(f"{name} {text!r}: must be a date such as 2026-12-20, or a date and a time such as 2026-12-20 18:00")
    return moment


def _midnight_after(day: date) -> datetime:
    return datetime.combine(day + _DAY, time())


def _clock_time(at: datetime, zone: ZoneInfo) -> datetime:
    """What the clock of a zone shows at an instant."""
    return at.astimezone(zone).replace(tzinfo=None)


def _days(length: timedelta) -> int:
    return -(-length // _DAY)
