"""What the judge must reach: limits on its error rates and on its times. A bar is missed where chance does not explain it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.judge import measures as m
from bench.judge.runner import Found
from bench.judge.scenarios import CRASH, FEW, LATE_ERRORS, LOADS, OUTAGE, SILENT

JUDGE = "tfcanary"


@dataclass(frozen=True)
class Result:
    """A bar and what was reached."""

    title: str
    limit: str
    reached: str
    missed: bool
    """By more than its Monte-Carlo error."""
    beside: bool
    """The limit is not kept as it stands; chance may explain it."""


def results(cells: Sequence[Found]) -> list[Result]:
    """Every bar for which the cells hold any watch."""
    return [result for result in _all(cells) if result is not None]


def _all(cells: Sequence[Found]) -> Iterator[Result | None]:
    yield from _healthy(cells)
    yield from _bad(cells)
    yield from _guards(cells)
    for law, factor, more in (("calm", 6, 240), ("noisy", 8, 300)):
        yield _share_in_time(m.select(cells, _in(law)), law, factor, more)
    yield _over_the_oracle(m.select(cells, lambda found: not found.cell.is_stress))
    yield from _promoted(cells)


def _in(law: str) -> Callable[[Found], bool]:
    return lambda found: found.cell.law.name == law and not found.cell.is_stress


def _is_good(found: Found) -> bool:
    return found.cell.fault.is_good


def _healthy(cells: Sequence[Found]) -> Iterator[Result | None]:
    for law, pooled, worst in (("calm", 0.005, 0.015), ("noisy", 0.010, 0.025)):
        good = m.select(cells, _in(law), _is_good)
        yield _at_most(f"healthy rolled back, {law}", good, "rollback", pooled)
        yield _worst(f"healthy rolled back, {law}, worst cell", good, "rollback", worst)
    for title, limit, condition in (
        ("harsh", 0.05, lambda found: found.cell.law.name == "harsh"),
        ("heavy-tailed metric", 0.01, lambda found: found.cell.heavy),
        ("polls of 15 and 60 s", 0.015, lambda found: found.cell.poll in (15.0, 60.0)),
    ):
        yield _at_most(f"healthy rolled back, {title}", m.select(cells, _is_good, condition), "rollback", limit)


def _bad(cells: Sequence[Found]) -> Iterator[Result | None]:
    for law, pooled, worst in (("calm", 0.01, 0.08), ("noisy", 0.02, 0.18)):
        bad = m.select(cells, _in(law), m.is_bad)
        yield _at_most(f"bad promoted, {law}", bad, "promote", pooled)
        yield _worst(f"bad promoted, {law}, worst cell", bad, "promote", worst)


def _guards(cells: Sequence[Found]) -> Iterator[Result | None]:
    flat = m.select(cells, lambda found: found.cell.fault in (OUTAGE, CRASH, SILENT) and not found.cell.is_stress)
    if flat:
        yield _at_least("outage, crash, silent drop rolled back", flat, "rollback", 1.0)
    limits = {OUTAGE: (240, 90, 60, 60), CRASH: (240, 240, 240, 240), SILENT: (480, 210, 150, 150)}
    for fault, by_load in limits.items():
        for law in ("calm", "noisy"):
            for load, limit in zip(LOADS, by_load, strict=True):
                there = m.select(flat, _in(law), lambda found, kind=(fault, load): (found.cell.fault, found.cell.rate) == kind)
                yield _median_at_most(f"{fault.name}, {law}, {load:g}/s", there, "rollback", float(limit))


def _promoted(cells: Sequence[Found]) -> Iterator[Result | None]:
    for law, load, ramp, share, limit in (
        ("calm", 200.0, "5 %", 0.95, 1080.0),
        ("calm", 2000.0, "5 %", 0.99, 660.0),
        ("noisy", 2000.0, "5 %", 0.90, 1080.0),
        ("noisy", 200.0, "5 %", 0.60, 3000.0),
        ("calm", 20.0, "ramp", 0.70, 2760.0),
        ("calm", 200.0, "ramp", 0.99, 900.0),
        ("noisy", 200.0, "ramp", 0.85, 1440.0),
    ):
        there = m.select(
            cells,
            _in(law),
            lambda found, load=load, ramp=ramp: (
                (found.cell.rate, found.cell.ramp.name, found.cell.base, found.cell.fault.name) == (load, ramp, FEW, "none")
            ),
        )
        title = f"healthy promoted, {law}, {load:g}/s, {ramp}"
        yield _at_least(title, there, "promote", share) if there else None
        yield _median_at_most(f"{title}, median", there, "promote", limit)


def _at_most(title: str, cells: Sequence[Found], word: str, limit: float) -> Result | None:
    seen = m.rate(cells, JUDGE, word)
    return _rated(title, f"<= {100 * limit:g} %", seen, seen.exceeds(limit), seen.share > limit) if seen.of else None


def _at_least(title: str, cells: Sequence[Found], word: str, limit: float) -> Result:
    seen = m.rate(cells, JUDGE, word)
    return _rated(title, f">= {100 * limit:g} %", seen, seen.falls_short(limit), seen.share < limit)


def _worst(title: str, cells: Sequence[Found], word: str, limit: float) -> Result | None:
    rates = [m.rate([found], JUDGE, word) for found in cells]
    if not rates:
        return None
    worst = max(rates, key=lambda seen: seen.share)
    return _rated(title, f"<= {100 * limit:g} %", worst, any(seen.exceeds(limit) for seen in rates), worst.share > limit)


def _rated(title: str, limit: str, seen: m.Rate, missed: bool, beside: bool) -> Result:
    return Result(title, limit, f"{100 * seen.share:.2f} %, {seen.count} of {seen.of:,}", missed, beside)


def _median_at_most(title: str, cells: Sequence[Found], word: str, limit: float) -> Result | None:
    if not cells:
        return None
    seconds = [t for found in cells for t in m.times(found, JUDGE, word)]
    middle = m.median(seconds)
    return Result(title, f"<= {limit:,.0f} s", seconds_of(middle), m.median_exceeds(seconds, limit), middle > limit)


def seconds_of(t: float) -> str:
    """A time as a table shows it."""
    return f"{t:,.0f} s" if math.isfinite(t) else "none"


def _share_in_time(cells: Sequence[Found], law: str, factor: int, more: int) -> Result | None:
    """Of the cells in which the oracle is early enough, how many medians lie within a multiple of its own."""
    held = []
    for found in cells:
        if found.cell.fault.is_good or m.is_between(found) or found.cell.fault in (CRASH, LATE_ERRORS):
            continue
        limit = factor * m.median(found.plain) + more
        if limit <= 3000.0:
            held.append(m.median(m.times(found, JUDGE, "rollback")) <= limit)
    seen = m.Rate(sum(held), len(held))
    title = f"faults found within {factor} x oracle + {more} s, {law}"
    return _rated(title, ">= 85 %", seen, seen.falls_short(0.85), seen.share < 0.85) if held else None


def _over_the_oracle(cells: Sequence[Found]) -> Result | None:
    ratios = m.ratios(cells, JUDGE)
    if not ratios:
        return None
    middle = m.median(ratios)
    title = f"time to rollback, median over {len(ratios)} detectable cells"
    return Result(title, "<= 2.5 x waiting oracle", f"{middle:.2f} x", m.median_exceeds(ratios, 2.5), middle > 2.5)
