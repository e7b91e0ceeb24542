"""The faults of canaries, and the cells of the bench: a fault in a noise or a world, at a load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.judge.worlds import CALM, HARSH, NOISY, WORLDS, Law

LOADS = (2.0, 20.0, 200.0, 2000.0)
"""Requests a second of both tracks together."""
FEW, MANY = 0.001, 0.01
"""Base error rates."""
HOUR = 3600.0
POLLS = (30.0, 10.0)
"""Seconds between two polls for which the judge is designed."""


@dataclass(frozen=True)
class CanaryFault:
    """What is wrong with the canary from its first request on; by default nothing."""

    name: str
    errors: float = 1.0
    more_errors: float = 0.0
    errors_from: float = 0.0
    """Seconds after which `errors` begins."""
    latency: float = 1.0
    tail: float = 1.0
    quality: float = 1.0
    collapse: float = 0.0
    """Part of the predictions that moves to class 0."""
    silent: bool = False
    outage: bool = False
    crash: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the canary is no worse than stable in anything."""
        return self in (ALIKE, FASTER)

    @property
    def wait(self) -> float:
        """Seconds that the waiting oracle ignores: a cold server is slow, and the canary's first half minute does not count."""
        if self.outage or self.crash:
            return 0.0
        return 120.0 if (self.latency, self.tail) != (1.0, 1.0) else 30.0


ALIKE = CanaryFault("none")
FASTER = CanaryFault("latency x0.8", latency=0.8)
ERRORS_X1_5, ERRORS_X3, ERRORS_X10 = (CanaryFault(f"errors x{x:g}", errors=x) for x in (1.5, 3.0, 10.0))
MORE_ERRORS = CanaryFault("errors +5 points", more_errors=0.05)
SLOWER, TWICE_AS_SLOW = CanaryFault("latency +10 %", latency=1.1), CanaryFault("latency x2", latency=2.0)
SLOW_TAIL = CanaryFault("p99 +50 %", tail=1.5)
QUALITY_1, QUALITY_5 = CanaryFault("quality -1 %", quality=0.99), CanaryFault("quality -5 %", quality=0.95)
COLLAPSE = CanaryFault("class collapse", collapse=0.3)
SILENT = CanaryFault("silent drop", silent=True)
OUTAGE = CanaryFault("outage, errors", outage=True)
CRASH = CanaryFault("crash", crash=True)
LATE_ERRORS = CanaryFault("errors x10 from 420 s", errors=10.0, errors_from=420.0)
OF_ERRORS = (ERRORS_X1_5, ERRORS_X3, ERRORS_X10, MORE_ERRORS)
OTHERS = (SLOWER, SLOW_TAIL, QUALITY_1, QUALITY_5, COLLAPSE, SILENT, OUTAGE, CRASH, LATE_ERRORS)


@dataclass(frozen=True)
class Ramp:
    """The canary's share over time: (seconds, share), rising."""

    name: str
    steps: tuple[tuple[float, float], ...]

    def at(self, t: float) -> float:
        """Return the share at a time."""
        return next(share for since, share in reversed(self.steps) if since <= t)


FLAT = Ramp("5 %", ((0.0, 0.05),))
QUARTER = Ramp("25 %", ((0.0, 0.25),))
RISING = Ramp("ramp", ((0.0, 0.05), (600.0, 0.25), (1200.0, 0.50)))


@dataclass(frozen=True)
class Cell:
    """Watches of one kind. The name of a cell seeds its draws, so that cells do not depend on one another."""

    law: Law
    rate: float
    fault: CanaryFault
    base: float = FEW
    ramp: Ramp = FLAT
    poll: float = 30.0
    heavy: bool = False
    """Whether the quality value is heavy-tailed and unbounded: 3 % of the requests bring a lognormal revenue."""
    servers: int = 1
    """Number of the canary's servers; stable has ten."""
    size: int = 50
    """Number of watches at full size."""

    @property
    def name(self) -> str:
        """A unique and stable name: seeds and tables depend on it."""
        parts = [self.law.name, f"{self.rate:g}/s", self.ramp.name, f"{100 * self.base:g} %", f"poll {self.poll:g} s", self.fault.name]
        parts += ["revenue"] * self.heavy + [f"{self.servers} servers"] * (self.servers > 1)
        return ", ".join(parts)

    @property
    def is_stress(self) -> bool:
        """Whether the cell is beyond the design: harsh noise, other polls, heavy tails."""
        return self.law == HARSH or self.heavy or self.poll not in POLLS

    @property
    def in_world(self) -> bool:
        """Whether the service is unlike the three noises."""
        return self.law in WORLDS

    def every(self, poll: float) -> Cell:
        """Return the cell at another poll."""
        return replace(self, poll=poll)


def cells() -> tuple[Cell, ...]:
    """Return all 312 cells: two noises by loads, faults and base errors, a ramp, healthy canaries under stress, and the worlds."""
    return tuple(_sized(cell) for cell in (*_flat(), *_ramped(), *_stress(), *_worlds()))


QUICK = {
    ALIKE.name: 10, FASTER.name: 2, OUTAGE.name: 2, CRASH.name: 2, SILENT.name: 2, ERRORS_X10.name: 2, SLOWER.name: 2, QUALITY_5.name: 2,
    COLLAPSE.name: 2, MORE_ERRORS.name: 2,
}  # fmt: skip
"""Number of watches of a cell in the quick form, by fault; other faults are left out."""
QUICK_IN_WORLDS = {ALIKE.name: 2, SLOWER.name: 1, TWICE_AS_SLOW.name: 1}
QUICK_UNDER_STRESS = {ALIKE.name: 4}
"""The same for the cells of the worlds at 2,000 requests a second, and for those under stress."""


def quick_cells() -> tuple[Cell, ...]:
    """Return some watches of the cells with few errors at 200 and 2,000 requests a second.

    They are enough to see that a judge has become worse, not to measure it.
    """
    chosen = (cell for cell in cells() if cell.rate >= (2000.0 if cell.in_world else 200.0) and cell.base == FEW and not cell.heavy)
    return tuple(sized for cell in chosen if (sized := replace(cell, size=_quick(cell))).size)


def _quick(cell: Cell) -> int:
    sizes = QUICK_IN_WORLDS if cell.in_world else QUICK_UNDER_STRESS if cell.is_stress else QUICK
    return sizes.get(cell.fault.name, 0)


def medium_cells() -> tuple[Cell, ...]:
    """Return the cells from 20 requests a second on.

    Most watches are where a rate must be known: of healthy canaries, and of those on a margin.
    """
    chosen = (cell for cell in cells() if cell.rate >= 20.0 and (cell.fault.is_good or cell.ramp != RISING))
    return tuple(replace(cell, size=_medium(cell)) for cell in chosen)


def _medium(cell: Cell) -> int:
    if cell.in_world:
        return 10 if cell.fault == ALIKE or is_on_margin(cell) else 2
    if cell.fault == ALIKE:
        return 5 if cell.ramp == RISING else 6 if cell.is_stress else 10
    return 10 if is_on_margin(cell) and cell.rate >= 200.0 else 2


def is_on_margin(cell: Cell) -> bool:
    """Return whether promotion must just exclude the canary, which may be promoted in 5 % of the watches."""
    kind = (cell.fault, cell.base)
    return cell.fault in (SLOWER, QUALITY_1) or kind in ((ERRORS_X1_5, MANY), (ERRORS_X3, FEW))


def _sized(cell: Cell) -> Cell:
    return replace(cell, size=200 if cell.is_stress else 300 if cell.fault.is_good else 100 if cell.in_world and is_on_margin(cell) else 50)


def _flat() -> Iterator[Cell]:
    for law in (CALM, NOISY):
        for rate in LOADS:
            for fault in (ALIKE, *OF_ERRORS):
                yield Cell(law, rate, fault, FEW)
                yield Cell(law, rate, fault, MANY)
            for fault in (FASTER, *OTHERS):
                yield Cell(law, rate, fault)


def _ramped() -> Iterator[Cell]:
    for law in (CALM, NOISY):
        for rate in (20.0, 200.0):
            for fault, base in (
                (ALIKE, FEW), (ALIKE, MANY), (FASTER, FEW), (ERRORS_X1_5, MANY), (ERRORS_X3, FEW),
                (SLOWER, FEW), (SLOW_TAIL, FEW), (QUALITY_1, FEW), (QUALITY_5, FEW),
            ):  # fmt: skip
                yield Cell(law, rate, fault, base, RISING)


def _stress() -> Iterator[Cell]:
    for rate in (20.0, 200.0, 2000.0):
        for base in (FEW, MANY):
            yield Cell(HARSH, rate, ALIKE, base)
    for poll in (15.0, 60.0):
        yield Cell(NOISY, 200.0, ALIKE, FEW, poll=poll)
    for law in (CALM, NOISY):
        for rate in (20.0, 200.0):
            yield Cell(law, rate, ALIKE, FEW, heavy=True)


def _worlds() -> Iterator[Cell]:
    """Yield each world's cells: one canary server at 5 % of the traffic, and four at 25 %."""
    for law in WORLDS:
        yield Cell(law, 200.0, ALIKE)
        for fault in (ALIKE, SLOWER, SLOW_TAIL, TWICE_AS_SLOW, ERRORS_X10):
            yield Cell(law, 2000.0, fault)
        for fault in (ALIKE, SLOWER):
            yield Cell(law, 2000.0, fault, ramp=QUARTER, servers=4)
