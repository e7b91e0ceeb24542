"""The limits that the judge must keep, on its error rates and on its times. A limit is missed where chance does not explain it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.judge import measures as m
from bench.judge.runner import CellResult
from bench.judge.scenarios import (
    CRASH,
    ERRORS_X10,
    FEW,
    LATE_ERRORS,
    LOADS,
    OUTAGE,
    SILENT,
    TWICE_AS_SLOW,
    is_on_margin,
)
from bench.judge.worlds import WORLDS, Law

JUDGE = "tfcanary"
HEALTHY_ROLLED_BACK, MARGIN_PROMOTED, BEYOND_PROMOTED = 0.04, 0.05, 0.01
"""Limits of rates in each world: of healthy canaries rolled back, of those exactly on a margin promoted, of those beyond one promoted."""
EXPLAINED = 0.90
"""Least share of healthy canaries that are promoted, or of which the judge says that they need more servers."""
NAMED = 0.05
"""Largest share of healthy canaries of which the judge says so although servers are alike."""
OVER_THE_ORACLE = 2.5
BEYOND_OVER_THE_ORACLE = 1.25 * 1.5
"""Median time to rollback, as a multiple of the waiting oracle's; of faults beyond their margin at most 1.25 times what it was before the
spread between servers entered."""
SECONDS_IN_WORLDS = {TWICE_AS_SLOW: 1.25 * 150.0, ERRORS_X10: 1.25 * 60.0}
"""Median seconds to rollback in worlds whose servers are alike, 1.25 times what they were."""


@dataclass(frozen=True)
class BarResult:
    """A limit and what was reached."""

    title: str
    limit: str
    reached: str
    missed: bool
    """Whether the limit lies outside of the interval of what was reached."""
    beside: bool
    """Whether the number lies beyond the limit, which chance may explain."""


def bar_results(cells: Sequence[CellResult]) -> list[BarResult]:
    """Return every limit for which the cells hold any watch."""
    return [bar for bar in _all(cells) if bar is not None]


def _all(every: Sequence[CellResult]) -> Iterator[BarResult | None]:
    cells, worlds = m.select(every, lambda result: not result.cell.in_world), m.select(every, lambda result: result.cell.in_world)
    yield from _healthy(cells)
    yield from _bad(cells)
    yield from _absence_rules(cells)
    for law, factor, more in (("calm", 6, 240), ("noisy", 8, 300)):
        yield _share_in_time(m.select(cells, _in(law)), law, factor, more)
    yield from _over_the_oracle(m.select(cells, _is_design))
    yield from _promoted(cells)
    yield _at_most("beyond a margin promoted, all", m.select(every, m.is_beyond), "promote", BEYOND_PROMOTED)
    yield from _worlds(worlds)


def _in(law: str) -> Callable[[CellResult], bool]:
    return lambda result: result.cell.law.name == law and not result.cell.is_stress


def _is_design(result: CellResult) -> bool:
    return not result.cell.is_stress


def _is_good(result: CellResult) -> bool:
    return result.cell.fault.is_good


def _is_on_margin(result: CellResult) -> bool:
    return is_on_margin(result.cell)


def _healthy(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
    for law, pooled, worst in (("calm", 0.005, 0.015), ("noisy", 0.010, 0.025)):
        good = m.select(cells, _in(law), _is_good)
        yield _at_most(f"healthy rolled back, {law}", good, "rollback", pooled)
        yield _worst(f"healthy rolled back, {law}, worst cell", good, "rollback", worst)
    yield _at_most("healthy rolled back, calm and noisy", m.select(cells, _is_good, _is_design), "rollback", 0.01)
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


def _worlds(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
    """Yield what the judge must keep in all worlds together, and in each cell of each of them."""
    yield _at_most("healthy rolled back, all worlds", m.select(cells, _is_good), "rollback", HEALTHY_ROLLED_BACK)
    yield _at_most("exactly on a margin promoted, all worlds", m.select(cells, _is_on_margin), "promote", MARGIN_PROMOTED)
    for law in WORLDS:
        yield from _world(m.select(cells, lambda result, law=law: result.cell.law == law), law)
    named = m.servers_needed(m.select(cells, _is_good, lambda result: result.cell.law.is_alike), JUDGE)
    title = "servers needed named where servers are alike"
    yield _rate_result(title, f"<= {100 * NAMED:g} %", named, named.exceeds(NAMED), named.share > NAMED) if named.of else None


def _world(cells: Sequence[CellResult], law: Law) -> Iterator[BarResult | None]:
    healthy = m.select(cells, _is_good)
    yield _worst(f"healthy rolled back, {law.name}, worst cell", healthy, "rollback", HEALTHY_ROLLED_BACK)
    yield _worst(f"exactly on a margin promoted, {law.name}, worst cell", m.select(cells, _is_on_margin), "promote", MARGIN_PROMOTED)
    rates = [m.decided_or_explained([result], JUDGE) for result in healthy]
    if rates:
        least = min(rates, key=lambda rate: (not rate.falls_short(EXPLAINED), rate.share))
        title = f"healthy promoted or the servers needed named, {law.name}, worst cell"
        yield _rate_result(title, f">= {100 * EXPLAINED:g} %", least, least.falls_short(EXPLAINED), least.share < EXPLAINED)
    for fault, limit in SECONDS_IN_WORLDS.items() if law.is_alike else ():
        there = m.select(cells, lambda result, fault=fault: result.cell.fault == fault)
        yield _median_at_most(f"{fault.name}, {law.name}", there, "rollback", limit)


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
    worst = max(rates, key=lambda rate: (rate.exceeds(limit), rate.share))
    return _rate_result(title, f"<= {100 * limit:g} %", worst, worst.exceeds(limit), worst.share > limit)


def _rate_result(title: str, limit: str, rate: m.Rate, missed: bool, beside: bool) -> BarResult:
    low, high = m.interval(rate, m.CONFIDENCE)
    reached = f"{100 * rate.share:.2f} %, {rate.count} of {rate.of:,} ({100 * low:.1f}-{100 * high:.1f})"
    return BarResult(title, limit, reached, missed, beside)


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


def _over_the_oracle(cells: Sequence[CellResult]) -> Iterator[BarResult | None]:
    beyond = m.select(cells, lambda result: not _is_on_margin(result))
    for faults, some, limit in (("", cells, OVER_THE_ORACLE), (" of faults beyond a margin", beyond, BEYOND_OVER_THE_ORACLE)):
        ratios = m.ratios(some, JUDGE)
        if ratios:
            middle = m.median(ratios)
            title = f"time to rollback{faults}, median over {len(ratios)} detectable cells"
            yield BarResult(title, f"<= {limit:.3g} x waiting oracle", f"{middle:.2f} x", m.median_exceeds(ratios, limit), middle > limit)
