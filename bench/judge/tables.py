"""The outcomes as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.judge import measures as m
from bench.judge.bars import JUDGE, Result, seconds_of
from bench.judge.contestants import ENTRIES
from bench.judge.runner import Found
from bench.judge.scenarios import LOADS, is_on_margin

MINIMUM = 600.0
"""Seconds: no healthy canary is promoted earlier, by plan."""
COLUMNS = (
    "judge", "healthy rolled back: calm", "noisy", "harsh", "worst cell", "bad promoted", "bad rolled back", "median time to rollback",
    "over the waiting oracle", "requests to bad canaries", "a poll",
)  # fmt: skip


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(seen: m.Rate) -> str:
    """A rate as a table shows it, with its interval."""
    low, high = m.interval(seen) if seen.of else (0.0, 1.0)
    return f"{100 * seen.share:.1f} % ({100 * low:.1f}-{100 * high:.1f})" if seen.of else "-"


def summary(cells: Sequence[Found]) -> str:
    """Every judge on the same watches."""
    return table(COLUMNS, [_line(cells, key) for key in _judges(cells)])


def _judges(cells: Sequence[Found]) -> list[str]:
    return [key for key in ENTRIES if any(key in found.outcomes for found in cells)]


def _line(cells: Sequence[Found], key: str) -> list[str]:
    cells = [found for found in cells if key in found.outcomes]
    good = m.select(cells, lambda found: found.cell.fault.is_good)
    design = [found for found in good if not found.cell.is_stress]
    by_law = [m.select(design, lambda found, law=law: found.cell.law.name == law) for law in ("calm", "noisy")]
    harsh = m.select(good, lambda found: found.cell.law.name == "harsh")
    bad = m.select(cells, m.is_bad)
    found_in_time = [t for found in m.detectable(cells) for t in m.times(found, key, "rollback")]
    ratios = m.ratios(cells, key)
    busy = m.select(bad, lambda found: found.cell.rate == 200.0)
    return [
        ENTRIES[key].title,
        *(percent(m.rate(group, key, "rollback")) for group in (*by_law, harsh)),
        percent(max((m.rate([found], key, "rollback") for found in design), key=lambda seen: seen.share, default=m.Rate(0, 0))),
        percent(m.rate(bad, key, "promote")),
        percent(m.rate(bad, key, "rollback")),
        seconds_of(m.median(found_in_time)),
        _with_interval(ratios),
        f"{m.exposed(busy, key):,.0f}",
        f"{1000 * m.median([one.cost for found in cells for one in found.outcomes[key]]):.2g} ms",
    ]


def times_of(ratio: float) -> str:
    """A multiple as a table shows it."""
    return f"{ratio:.1f} x" if math.isfinite(ratio) else "-"


def _with_interval(ratios: Sequence[float]) -> str:
    low, high = m.median_interval(ratios) if ratios else (0.0, math.inf)
    return f"{times_of(m.median(ratios))} ({low:.1f}-{high:.1f})" if math.isfinite(m.median(ratios)) else "-"


def goals(cells: Sequence[Found]) -> str:
    """What was asked for beyond the bars, and what was reached; by the same watches."""
    rollback = m.ratios(cells, JUDGE)
    promote = m.promotion_ratios(m.select(cells, lambda found: not found.cell.is_stress), JUDGE, MINIMUM)
    margin = m.select(cells, lambda found: is_on_margin(found.cell) and found.cell.rate >= 200.0 and found.cell.ramp.name == "5 %")
    rates = [m.rate([found], JUDGE, "promote") for found in margin]
    worst = max(rates, key=lambda seen: seen.share, default=m.Rate(0, 0))
    factor = 1.5 if any(found.cell.poll == 10.0 for found in cells) else 1.8
    rows = [
        (f"rollback, median over {len(rollback)} cells", f"{factor:g} x the waiting oracle", _with_interval(rollback)),
        (f"promotion, median over {len(promote)} cells", "1.4 x the waiting oracle", _with_interval(promote)),
        ("canaries exactly on a margin promoted, 200/s and more, all cells", "5 %", percent(_pooled(rates))),
        ("the same, worst cell", "5 %", percent(worst)),
    ]
    return table(("goal", "at most", "reached (95 % interval)"), rows)


def _pooled(rates: Sequence[m.Rate]) -> m.Rate:
    return m.Rate(sum(one.count for one in rates), sum(one.of for one in rates))


def faults(cells: Sequence[Found]) -> str:
    """Fault by fault and load by load: the waiting oracle's median, ours, and how many were rolled back and promoted."""
    flat = [found for found in cells if found.cell.ramp.name == "5 %" and not found.cell.is_stress and not found.cell.fault.is_good]
    names = dict.fromkeys((found.cell.fault.name, found.cell.base) for found in flat)
    rows = []
    for law in ("calm", "noisy"):
        for name, base in names:
            there = {f.cell.rate: f for f in flat if (f.cell.law.name, f.cell.fault.name, f.cell.base) == (law, name, base)}
            rows.append([law, f"{name} of {100 * base:g} %", *(_fault(there[load]) if load in there else "-" for load in LOADS)])
    return table(("noise", "fault, base error rate", *(f"{load:g}/s" for load in LOADS)), rows)


def _fault(found: Found) -> str:
    ours, promoted = m.times(found, JUDGE, "rollback"), m.rate([found], JUDGE, "promote")
    shown = f"{_bare(m.median(found.waiting))} / {_bare(m.median(ours))}, {100 * m.rate([found], JUDGE, 'rollback').share:.0f} %"
    return f"{shown} ({100 * promoted.share:.0f} % promoted)" if promoted.count else shown


def _bare(seconds: float) -> str:
    return f"{seconds:,.0f}" if math.isfinite(seconds) else "-"


def healthy(cells: Sequence[Found]) -> str:
    """Healthy canaries: rolled back, promoted, and when."""
    rows = []
    for found in cells:
        if found.cell.fault.name == "none":
            name = found.cell.name.removesuffix(", none").replace(", none,", ",")
            middle = m.median(m.times(found, JUDGE, "promote"))
            rows.append(
                [
                    name,
                    percent(m.rate([found], JUDGE, "rollback")),
                    percent(m.rate([found], JUDGE, "promote")),
                    seconds_of(m.median(found.waiting)) if found.waiting else "-",
                    seconds_of(middle),
                    times_of(middle / max(m.median(found.waiting), MINIMUM)) if math.isfinite(m.median(found.waiting)) else "-",
                ]
            )
    return table(("watches", "rolled back", "promoted", "waiting oracle", "median", "over the oracle, 600 s at least"), rows)


def bars(results: Sequence[Result]) -> str:
    """What must be reached and what was."""
    words = {(False, False): "kept", (False, True): "within chance", (True, True): "**missed**"}
    return table(("bar", "limit", "reached", ""), [[r.title, r.limit, r.reached, words[r.missed, r.beside]] for r in results])
