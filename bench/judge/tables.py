"""The outcomes as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.judge import measures as m
from bench.judge.bars import BEYOND_PROMOTED, HEALTHY_ROLLED_BACK, JUDGE, MARGIN_PROMOTED, BarResult, seconds_of
from bench.judge.contestants import ENTRIES
from bench.judge.runner import CellResult
from bench.judge.scenarios import LOADS, is_on_margin
from bench.judge.worlds import WORLDS, Law

MINIMUM = 600.0
"""Seconds: by plan no healthy canary is promoted earlier."""
COLUMNS = (
    "judge", "healthy rolled back: calm", "noisy", "harsh", "worst cell", "bad promoted", "bad rolled back", "median time to rollback",
    "over the waiting oracle", "requests to bad canaries", "a poll",
)  # fmt: skip


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(rate: m.Rate) -> str:
    """Return a rate with its interval, as a table shows it."""
    low, high = m.interval(rate) if rate.of else (0.0, 1.0)
    return f"{100 * rate.share:.1f} % ({100 * low:.1f}-{100 * high:.1f})" if rate.of else "-"


def summary(cells: Sequence[CellResult]) -> str:
    """Return the table of all judges on the same watches."""
    return table(COLUMNS, [_line(cells, key) for key in _judges(cells)])


def _judges(cells: Sequence[CellResult]) -> list[str]:
    return [key for key in ENTRIES if any(key in result.outcomes for result in cells)]


def _line(cells: Sequence[CellResult], key: str) -> list[str]:
    cells = [result for result in cells if key in result.outcomes]
    good = m.select(cells, lambda result: result.cell.fault.is_good)
    design = [result for result in good if not result.cell.is_stress]
    by_law = [m.select(design, lambda result, law=law: result.cell.law.name == law) for law in ("calm", "noisy")]
    harsh = m.select(good, lambda result: result.cell.law.name == "harsh")
    bad = m.select(cells, m.is_bad)
    found_in_time = [t for result in m.detectable(cells) for t in m.times(result, key, "rollback")]
    ratios = m.ratios(cells, key)
    busy = m.select(bad, lambda result: result.cell.rate == 200.0)
    return [
        ENTRIES[key].title,
        *(percent(m.rate(group, key, "rollback")) for group in (*by_law, harsh)),
        percent(max((m.rate([result], key, "rollback") for result in design), key=lambda rate: rate.share, default=m.Rate(0, 0))),
        percent(m.rate(bad, key, "promote")),
        percent(m.rate(bad, key, "rollback")),
        seconds_of(m.median(found_in_time)),
        _with_interval(ratios),
        f"{m.exposed(busy, key):,.0f}",
        f"{1000 * m.median([one.cost for result in cells for one in result.outcomes[key]]):.2g} ms",
    ]


def times_of(ratio: float) -> str:
    """Return a multiple, as a table shows it."""
    return f"{ratio:.1f} x" if math.isfinite(ratio) else "-"


def _with_interval(ratios: Sequence[float]) -> str:
    low, high = m.median_interval(ratios) if ratios else (0.0, math.inf)
    return f"{times_of(m.median(ratios))} ({low:.1f}-{high:.1f})" if math.isfinite(m.median(ratios)) else "-"


def goals(cells: Sequence[CellResult]) -> str:
    """Return the table of what was asked for beyond the limits, and of what was reached on the same watches."""
    rollback = m.ratios(cells, JUDGE)
    promote = m.promotion_ratios(m.select(cells, lambda result: not result.cell.is_stress), JUDGE, MINIMUM)
    margin = m.select(cells, lambda result: is_on_margin(result.cell) and result.cell.rate >= 200.0 and result.cell.ramp.name == "5 %")
    rates = [m.rate([result], JUDGE, "promote") for result in margin]
    worst = max(rates, key=lambda rate: rate.share, default=m.Rate(0, 0))
    factor = 1.5 if any(result.cell.poll == 10.0 for result in cells) else 1.8
    rows = [
        (f"rollback, median over {len(rollback)} cells", f"{factor:g} x the waiting oracle", _with_interval(rollback)),
        (f"promotion, median over {len(promote)} cells", "1.4 x the waiting oracle", _with_interval(promote)),
        ("canaries exactly on a margin promoted, 200/s and more, all cells", "5 %", percent(_pooled(rates))),
        ("the same, worst cell", "5 %", percent(worst)),
    ]
    return table(("goal", "at most", "reached (95 % interval)"), rows)


def _pooled(rates: Sequence[m.Rate]) -> m.Rate:
    return m.Rate(sum(one.count for one in rates), sum(one.of for one in rates))


def faults(cells: Sequence[CellResult]) -> str:
    """Return the table of faults by load: the waiting oracle's median, ours, and how many were rolled back and promoted."""
    flat = [result for result in cells if result.cell.ramp.name == "5 %" and not result.cell.is_stress and not result.cell.fault.is_good]
    names = dict.fromkeys((result.cell.fault.name, result.cell.base) for result in flat)
    rows = []
    for law in ("calm", "noisy"):
        for name, base in names:
            there = {f.cell.rate: f for f in flat if (f.cell.law.name, f.cell.fault.name, f.cell.base) == (law, name, base)}
            rows.append([law, f"{name} of {100 * base:g} %", *(_fault(there[load]) if load in there else "-" for load in LOADS)])
    return table(("noise", "fault, base error rate", *(f"{load:g}/s" for load in LOADS)), rows)


def _fault(result: CellResult) -> str:
    ours, promoted = m.times(result, JUDGE, "rollback"), m.rate([result], JUDGE, "promote")
    shown = f"{_bare(m.median(result.waiting))} / {_bare(m.median(ours))}, {100 * m.rate([result], JUDGE, 'rollback').share:.0f} %"
    return f"{shown} ({100 * promoted.share:.0f} % promoted)" if promoted.count else shown


def _bare(seconds: float) -> str:
    return f"{seconds:,.0f}" if math.isfinite(seconds) else "-"


def healthy(cells: Sequence[CellResult]) -> str:
    """Return the table of healthy canaries: rolled back, promoted, and when."""
    rows = []
    for result in cells:
        if result.cell.fault.name == "none":
            name = result.cell.name.removesuffix(", none").replace(", none,", ",")
            middle = m.median(m.times(result, JUDGE, "promote"))
            rows.append(
                [
                    name,
                    percent(m.rate([result], JUDGE, "rollback")),
                    percent(m.rate([result], JUDGE, "promote")),
                    seconds_of(m.median(result.waiting)) if result.waiting else "-",
                    seconds_of(middle),
                    times_of(middle / max(m.median(result.waiting), MINIMUM)) if math.isfinite(m.median(result.waiting)) else "-",
                ]
            )
    return table(("watches", "rolled back", "promoted", "waiting oracle", "median", "over the oracle, 600 s at least"), rows)


@dataclass(frozen=True)
class Question:
    """What a table asks of every judge in each world."""

    title: str
    of: Callable[[CellResult], bool]
    answer: str
    limit: float = 1.0
    """Largest rate that is allowed."""
    timed: bool = False
    """Whether the median time to the answer is shown, too."""


QUESTIONS = (
    Question("Healthy canaries rolled back", lambda result: result.cell.fault.is_good, "rollback", HEALTHY_ROLLED_BACK),
    Question("Canaries exactly on the margin of latency promoted", lambda result: is_on_margin(result.cell), "promote", MARGIN_PROMOTED),
    Question("Canaries beyond a margin promoted", m.is_beyond, "promote", BEYOND_PROMOTED),
    Question("Healthy canaries promoted", lambda result: result.cell.fault.is_good, "promote"),
    Question("Canaries beyond a margin rolled back, and the median time to it", m.is_beyond, "rollback", timed=True),
)


def worlds(cells: Sequence[CellResult]) -> str:
    """Return a table for each question: the worlds by the judges, with the rates that miss their limit in bold."""
    keys = _judges(cells)
    heads = ("service", *(ENTRIES[key].title for key in keys))
    parts = []
    for question in QUESTIONS:
        there = m.select(cells, question.of)
        limit = f", at most {100 * question.limit:g} % (bold: the interval excludes it)" if question.limit < 1.0 else ""
        rows = [[law.name, *(_answered(there, law, key, question) for key in keys)] for law in _laws(there)]
        parts += [f"{question.title}{limit}:", table(heads, rows)]
    return "\n\n".join(parts)


def _laws(cells: Sequence[CellResult]) -> list[Law]:
    return [law for law in WORLDS if any(result.cell.law == law for result in cells)]


def _answered(cells: Sequence[CellResult], law: Law, key: str, question: Question) -> str:
    there = m.select(cells, lambda result: result.cell.law == law)
    rate = m.rate(there, key, question.answer)
    if question.timed:
        seconds = m.median([t for result in there for t in m.times(result, key, question.answer)])
        return f"{percent(rate)}, {seconds_of(seconds)}"
    return f"**{percent(rate)}**" if m.excludes(rate, question.limit) else percent(rate)


def world_cells(cells: Sequence[CellResult]) -> str:
    """Return the table of our judge in each cell of the worlds."""
    rows = []
    for result in cells:
        cell, right = result.cell, "promote" if result.cell.fault.is_good else "rollback"
        rows.append(
            [
                f"{cell.law.name}, {cell.rate:g}/s",
                f"{cell.servers} at {cell.ramp.name}",
                cell.fault.name,
                percent(m.rate([result], JUDGE, "rollback")),
                percent(m.rate([result], JUDGE, "promote")),
                percent(m.servers_needed([result], JUDGE)),
                seconds_of(m.median(result.waiting)) if result.waiting else "-",
                seconds_of(m.median(m.times(result, JUDGE, right))),
            ]
        )
    heads = ("service", "canary servers", "fault", "rolled back", "promoted", "undecided, more servers named", "waiting oracle", "median")
    return table(heads, rows)


def bars(results: Sequence[BarResult]) -> str:
    """Return the table of the limits and of what was reached."""
    words = {(False, False): "kept", (False, True): "within chance", (True, True): "**missed**"}
    return table(("bar", "limit", "reached", ""), [[r.title, r.limit, r.reached, words[r.missed, r.beside]] for r in results])
