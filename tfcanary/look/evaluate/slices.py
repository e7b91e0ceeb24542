"""Slices: counts for each part of the requests, so that a part that gets worse is named although the mean gets better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Evidence, Finding, Interval

MOST = 200
"""Largest number of slices; later values are counted together in the slice OTHERS."""
OTHERS = "others"
IN_SENTENCE = 5
"""Largest number of slices that a sentence names."""
IN_FIGURES = 20
"""Largest number of slices whose difference is among the figures, the worst first."""


@dataclass(slots=True)
class Slice:
    """The counts of one slice of the requests."""

    rows: int = 0
    flips: int = 0
    labelled: int = 0
    only_stable_right: int = 0
    only_canary_right: int = 0
    stable_right: int = 0
    canary_right: int = 0
    """Number of right answers of the canary; where the tracks answered different requests, of the one track that is counted."""


@dataclass(slots=True)
class Slices:
    """All slices by their names, for example `country=DE` or `class=3`."""

    by_name: dict[str, Slice] = field(default_factory=dict)

    def of(self, name: str, value: object) -> Slice:
        """The slice of the value of a column; from MOST slices on, one slice for all new values."""
        key = f"{name}={str(value)[:40]}"
        if key not in self.by_name and len(self.by_name) >= MOST:
            key = f"{name}={OTHERS}"
        return self.by_name.setdefault(key, Slice())


def slices_evidence(intervals: Mapping[str, Interval], margin: float, about: str, gating: bool) -> Evidence:
    """Whether the canary is worse by more than the margin in a slice; the `intervals` of all slices already share one alpha.

    A slice that seems worse but has too few rows to decide is a warning: it is named, and does not refuse the canary.
    """
    surely = [name for name, one in sorted(intervals.items(), key=lambda item: item[1].estimate) if one.high < -margin]
    maybe = [name for name, one in sorted(intervals.items(), key=lambda item: item[1].estimate) if one.estimate < -margin <= one.high]
    figures: dict[str, float | str] = {"slices": len(intervals), "worse": len(surely), "perhaps_worse": len(maybe)}
    figures |= {
        f"slice {name}": _difference(one) for name, one in sorted(intervals.items(), key=lambda item: item[1].estimate)[:IN_FIGURES]
    }
    if surely:
        return Evidence(about, Finding.FAIL, f"worse in {_list(surely, intervals)}; allowed {-margin:.2f}", gating, figures=figures)
    if maybe:
        few = f"perhaps worse in {_list(maybe, intervals)}; too few labels there to decide"
        return Evidence(about, Finding.WARN, few, gating, figures=figures)
    return Evidence(about, Finding.PASS, f"none of {len(intervals)} slices is worse by more than {margin:.2f}", gating, figures=figures)


def _list(names: list[str], intervals: Mapping[str, Interval]) -> str:
    text = "; ".join(f"{name}: {_difference(intervals[name])}" for name in names[:IN_SENTENCE])
    return text + (f"; and {len(names) - IN_SENTENCE} more" if len(names) > IN_SENTENCE else "")


def _difference(interval: Interval) -> str:
    return f"{interval.estimate:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"
