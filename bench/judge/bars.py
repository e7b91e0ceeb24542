"""The limits that the judge must keep, on its error rates and on its times. A limit is missed where chance does not explain it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.judge import measures as m
from bench.judge.runner import CellResult
from bench.judge.scenarios import CRASH, FEW, LATE_ERRORS, LOADS, OUTAGE, SILENT

JUDGE = "tfcanary"


@dataclass(frozen=True)
class BarResult:
    """A limit and what was reached."""

    title: str
    limit: str
    reached: str
    missed: bool
    """Whether the limit is missed by more than its Monte-Carlo error."""
    beside: bool
    """Whether the number lies beyond the limit, which chance may explain."""


def bar_results(cells: Sequence[CellResult]) -> list[BarResult]:
    """Return every limit for which the cells hold any watch."""
    return [bar for bar in _all(cells) if bar is not None]


def _all(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
    yield from _healthy(cells)
    yield from _bad(cells)
    yield from _absence_rules(cells)
    for law, factor, more in (("calm", 6, 240), ("noisy", 8, 300)):
        yield _share_in_time(m.select(cells, _in(law)), law, factor, more)
    yield _over_the_oracle(m.select(cells, lambda result: not result.cell.is_stress))
    yield from _promoted(cells)


def _in(law: str) -> Callable[[CellResult], bool]:
    return lambda result: result.cell.law.name == law and not result.cell.is_stress


def _is_good(result: CellResult) -> bool:
    return result.cell.fault.is_good


def _healthy(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
    for law, pooled, worst in (("calm", 0.005, 0.015), ("noisy", 0.010, 0.025)):
        good = m.select(cells, _in(law), _is_good)
        yield _at_most(f"healthy rolled back, {law}", good, "rollback", pooled)
        yield _worst(f"healthy rolled back, {law}, worst cell", good, "rollback", worst)
    for title, limit, condition in (
        ("harsh", 0.05, lambda result: result.cell.law.name == "harsh"),
        ("heavy-tailed metric", 0.01, lambda result: result.cell.heavy),
        ("polls of 15 and 60 s", 0.015, lambda result: result.cell.poll in (15.0, 60.0)),
    ):
        yield _at_most(f"healthy rolled back, {title}", m.select(cells, _is_good, condition), "rollback", limit)


def _bad(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
    for law, pooled, worst in (("calm", 0.01, 0.08), ("noisy", 0.02, 0.18)):
        bad = m.select(cells, _in(law), m.is_bad)
        yield _at_most(f"bad promoted, {law}", bad, "promote", pooled)
        yield _worst(f"bad promoted, {law}, worst cell", bad, "promote", worst)


def _absence_rules(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
    flat = m.select(cells, lambda result: result.cell.fault in (OUTAGE, CRASH, SILENT) and not result.cell.is_stress)
    if flat:
        yield _at_least("outage, crash, silent drop rolled back", flat, "rollback", 1.0)
    limits = {OUTAGE: (240, 90, 60, 60), CRASH: (240, 240, 240, 240), SILENT: (480, 210, 150, 150)}
    for fault, by_load in limits.items():
        for law in ("calm", "noisy"):
            for load, limit in zip(LOADS, by_load, strict=True):
                there = m.select(flat, _in(law), lambda result, kind=(fault, load): (result.cell.fault, result.cell.rate) == kind)
                yield _median_at_most(f"{fault.name}, {law}, {load:g}/s", there, "rollback", float(limit))


def _promoted(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
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
            lambda result, load=load, ramp=ramp: (
                (result.cell.rate, result.cell.ramp.name, result.cell.base, result.cell.fault.name) == (load, ramp, FEW, "none")
            ),
        )
        title = f"healthy promoted, {law}, {load:g}/s, {ramp}"
        yield _at_least(title, there, "promote", share) if there else None
        yield _median_at_most(f"{title}, median", there, "promote", limit)


def _at_most(title: str, cells: Sequence[CellResult], answer: str, limit: float) -> BarResult | None:
    rate = m.rate(cells, JUDGE, answer)
    return _rate_result(title, f"<= {100 * limit:g} %", rate, rate.exceeds(limit), rate.share > limit) if rate.of else None


def _at_least(title: str, cells: Sequence[CellResult], answer: str, limit: float) -> BarResult:
    rate = m.rate(cells, JUDGE, answer)
    return _rate_result(title, f">= {100 * limit:g} %", rate, rate.falls_short(limit), rate.share < limit)


def _worst(title: str, cells: Sequence[CellResult], answer: str, limit: float) -> BarResult | None:
    rates = [m.rate([result], JUDGE, answer) for result in cells]
    if not rates:
        return None
    worst = max(rates, key=lambda rate: rate.share)
    return _rate_result(title, f"<= {100 * limit:g} %", worst, any(rate.exceeds(limit) for rate in rates), worst.share > limit)


def _rate_result(title: str, limit: str, rate: m.Rate, missed: bool, beside: bool) -> BarResult:
    return BarResult(title, limit, f"{100 * rate.share:.2f} %, {rate.count} of {rate.of:,}", missed, beside)


def _median_at_most(title: str, cells: Sequence[CellResult], answer: str, limit: float) -> BarResult | None:
    if not cells:
        return None
    seconds = [t for result in cells for t in m.times(result, JUDGE, answer)]
    middle = m.median(seconds)
    return BarResult(title, f"<= {limit:,.0f} s", seconds_of(middle), m.median_exceeds(seconds, limit), middle > limit)


def seconds_of(t: float) -> str:
    """Return a time as a table shows it."""
    return f"{t:,.0f} s" if math.isfinite(t) else "none"


def _share_in_time(cells: Sequence[CellResult], law: str, factor: int, more: int) -> BarResult | None:
    """Return the share of cells, among those in which the oracle is early enough, whose median lies within a multiple of the oracle's."""
    held = []
    for result in cells:
        if result.cell.fault.is_good or m.is_between(result) or result.cell.fault in (CRASH, LATE_ERRORS):
            continue
        limit = factor * m.median(result.plain) + more
        if limit <= 3000.0:
            held.append(m.median(m.times(result, JUDGE, "rollback")) <= limit)
    rate = m.Rate(sum(held), len(held))
    title = f"faults found within {factor} x oracle + {more} s, {law}"
    return _rate_result(title, ">= 85 %", rate, rate.falls_short(0.85), rate.share < 0.85) if held else None


def _over_the_oracle(cells: Sequence[CellResult]) -> BarResult | None:
    ratios = m.ratios(cells, JUDGE)
    if not ratios:
        return None
    middle = m.median(ratios)
    title = f"time to rollback, median over {len(ratios)} detectable cells"
    return BarResult(title, "<= 2.5 x waiting oracle", f"{middle:.2f} x", m.median_exceeds(ratios, 2.5), middle > 2.5)
