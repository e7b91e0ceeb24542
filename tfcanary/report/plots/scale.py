"""Maps values to positions between 0 and 1, and chooses the round values that are written beside an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`; on a logarithmic axis equal ratios have equal lengths. Raises ValueError where it does not rise."""

    low: float
    high: float
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.logarithmic and self.low <= 0):
            raise ValueError(f"scale from {self.low} to {self.high}: must rise, and a logarithmic one must start above 0")

    def at(self, value: float) -> float:
        """Return the position of a value: 0 at `low` and below, 1 at `high` and above."""
        low, high, here = (self._transformed(v) for v in (self.low, self.high, value))
        return min(max((here - low) / (high - low), 0.0), 1.0)

    def holds(self, value: float) -> bool:
        """Whether the value lies on the axis."""
        return self.low <= value <= self.high

    def ticks(self, most: int = 6) -> tuple[float, ...]:
        """Return round values along the axis, at most `most` of them."""
        if self.logarithmic and self.high / self.low > 3:
            return _log_ticks(self.low, self.high, most)
        return _linear_ticks(self.low, self.high, most)

    def _transformed(self, value: float) -> float:
        if not self.logarithmic:
            return value
        return math.log(value) if value > 0 else -math.inf


def _linear_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10, 20, 50) if _count_of_multiples(low, high, power * m) <= most)
    first = math.ceil(low / step - 1e-9)
    return tuple(round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1))


def _count_of_multiples(low: float, high: float, step: float) -> int:
    return math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1


def _log_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return round values at similar distances: several in each decade, or one in each decade, or powers of ten some decades apart."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    series = [[m * 10.0**d for d in decades for m in mantissas] for mantissas in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))]
    series += [[10.0**d for d in decades if d % step == 0] for step in (2, 5, 10, 50, 100, 700)]
    on_axis = ([round(v, 12) for v in values if low <= v <= high] for values in series)
    return next(tuple(values) for values in on_axis if len(values) <= most)
