"""Slices: how each part of the requests fares, named where it gets worse although the mean gets better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Evidence, Finding, Interval

MOST = 200
"""Slices that are counted; the values that come later are counted together."""
OTHERS = "others"
NAMED = 5
"""Slices that a sentence names."""
SHOWN = 20
"""Slices whose difference is among the figures, the worst first."""


@dataclass(slots=True)
class Slice:
    """What was counted of the requests of one slice."""

    rows: int = 0
    flips: int = 0
    labelled: int = 0
    only_stable_right: int = 0
    only_canary_right: int = 0
    stable_right: int = 0
    canary_right: int = 0
    """Of the one track, where both answered different requests."""


@dataclass(slots=True)
class Slices:
    """All of them, by name: `country=DE`, `class=3`."""

    by_name: dict[str, Slice] = field(default_factory=dict)

    def of(self, name: str, value: object) -> Slice:
        """The slice of a value; one for all beyond MOST."""
        key = f"{name}={str(value)[:40]}"
        if key not in self.by_name and len(self.by_name) >= MOST:
            key = f"{name}={OTHERS}"
        return self.by_name.setdefault(key, Slice())


def named(row: Mapping[str, object], names: Iterable[str]) -> list[tuple[str, object]]:
    """The slices that a row belongs to; a number stands for itself, and a missing value is one, too."""
    return [(name, row.get(name)) for name in names]


def worse(intervals: Mapping[str, Interval], margin: float, about: str, gating: bool) -> Evidence:
    """Whether a slice lies surely below the margin; `intervals` share one alpha already.

    A slice that may be worse and has too few rows to say so is a warning: it never passes in silence, and never blocks for being small.
    """
    surely = [name for name, one in sorted(intervals.items(), key=lambda item: item[1].estimate) if one.high < -margin]
    maybe = [name for name, one in sorted(intervals.items(), key=lambda item: item[1].estimate) if one.estimate < -margin <= one.high]
    figures: dict[str, float | str] = {"slices": len(intervals), "worse": len(surely), "perhaps_worse": len(maybe)}
    figures |= {f"slice {name}": _difference(one) for name, one in sorted(intervals.items(), key=lambda item: item[1].estimate)[:SHOWN]}
    if surely:
        return Evidence(about, Finding.FAIL, f"worse in {_listed(surely, intervals)}; allowed {-margin:.2f}", gating, figures=figures)
    if maybe:
        few = f"perhaps worse in {_listed(maybe, intervals)}; too few labels there to be sure"
        return Evidence(about, Finding.WARN, few, gating, figures=figures)
    return Evidence(about, Finding.PASS, f"none of {len(intervals)} slices is worse by more than {margin:.2f}", gating, figures=figures)


def _listed(names: list[str], intervals: Mapping[str, Interval]) -> str:
    shown = "; ".join(f"{name}: {_difference(intervals[name])}" for name in names[:NAMED])
    return shown + (f"; and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _difference(interval: Interval) -> str:
    return f"{interval.estimate:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"
