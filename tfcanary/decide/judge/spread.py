"""The spread between servers, and what the luck of one draw of servers can do because of it.

Two servers of one version differ: by their machine, their neighbours, their caches. A canary's servers are drawn once, and no number of
requests averages their difference from stable's away; more servers do. So alpha is split. One part is spent on chance, request by
request. The other part is spent on the draw: a rollback needs evidence of more than the tolerance widened by what the draw can do, a
promotion must exclude the margin less the same. With m servers of the canary and R of stable the draw can do

    t(R - 1) s sqrt(1/m + 1/R)

where s is the standard deviation between stable's servers and t(R - 1) the quantile of Student's t distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.logarithms import Array, Flags
from tfcanary.decide.stats.student import upper_quantile

DRAW_PART = 0.4
"""The part of alpha, and of alpha_promote, that is spent on the draw of servers; chance has the rest, which costs 0.5 nats."""
ASSUMED_SPREAD = 0.1
"""Spread between servers, as a part of the wander that is assumed without history, where stable has too few servers to show it.

For latency that is 0.3 %. Real services have 0.7 to 10 %, but from one server on each side nobody can tell a slow machine from a slow
version: an assumption of 10 % would leave each of their releases undecided.
"""
ASSUMED_FREEDOM = 5
"""Degrees of freedom of the assumed spread: it stands in for the servers that are missing to six."""
POWER = 0.84
"""Standard deviations of the draw beyond its own luck: with so many servers, eight of ten healthy canaries can be promoted."""
MOST_SERVERS = 100
"""More canary servers are not suggested."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How much the servers of one version differ in one criterion."""

    deviation: float
    """Standard deviation between servers net of sampling noise: of the log rate, the log latency, or a mean relative to its level."""
    servers: int
    """Number of stable's servers that showed it; 1 where it is only assumed."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the deviation."""
        return max(self.servers - 1, ASSUMED_FREEDOM)

    @classmethod
    def blended(cls, measured: Spread | None, wander: float) -> Spread:
        """Return what was measured, with the assumption in place of the servers that are missing to six.

        `wander` is the wander of the criterion that is assumed without history; 0 where servers are assumed to be alike.
        """
        known = measured.servers - 1 if measured else 0
        missing = max(ASSUMED_FREEDOM - known, 0)
        squares = (known * measured.deviation**2 if measured else 0.0) + missing * (ASSUMED_SPREAD * wander) ** 2
        return cls(math.sqrt(squares / (known + missing)), known + 1)

    def widening(self, tail: float, canary: float, stable: float) -> float:
        """Return what the draw of servers can do with probability `tail`: `canary` servers against `stable` servers."""
        return upper_quantile(tail, self.freedom) * self.deviation * math.sqrt(1.0 / canary + 1.0 / stable)

    def servers_needed(self, margin: float, alpha_promote: float, stable: float) -> int | None:
        """Return how many canary servers can usually exclude a margin; None where no number of them can."""
        needed = upper_quantile(draw_alpha(alpha_promote), self.freedom) + POWER
        left = (margin / (needed * self.deviation)) ** 2 - 1.0 / stable if self.deviation > 0 else math.inf
        return max(math.ceil(1.0 / left), 1) if left >= 1.0 / MOST_SERVERS else None


def chance_alpha(alpha: float) -> float:
    """Return the part of alpha that is spent on chance, request by request."""
    return alpha * (1.0 - DRAW_PART)


def draw_alpha(alpha: float) -> float:
    """Return the part of alpha that is spent on the draw of servers."""
    return alpha * DRAW_PART


NO_SPREAD: Mapping[str, Spread] = {}
"""No history of several servers: the assumption holds for every criterion."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What the draw of servers means for one criterion after the last window."""

    spread: Spread = Spread(0.0, 1)
    servers: int = 1
    """Number of the canary's servers."""
    needed: int | None = 1
    """Number of canary servers that can usually exclude the margin; None where no number of them can."""

    @property
    def is_enough(self) -> bool:
        """Whether the canary has as many servers as are needed."""
        return self.needed is not None and self.servers >= self.needed

    @classmethod
    def of(cls, spread: Spread, margin: float, alpha_promote: float, servers: tuple[int, int]) -> Draw:
        """Build from a criterion's spread and margin, and the numbers of the canary's and of stable's servers."""
        canary, stable = servers
        return cls(spread, canary, spread.servers_needed(margin, alpha_promote, stable))


@dataclass(frozen=True, slots=True)
class Draws:
    """The luck of the draw in several criteria; arrays of shape (criteria,)."""

    spreads: tuple[Spread, ...]
    rollback: Array
    """What the draw can do to the canary's harm where both tracks have one server, divided by sqrt(2)."""
    promote: Array
    """The same in the canary's favour."""

    @classmethod
    def of(cls, plan: JudgePlan, names: Sequence[str], wander: Array, parts: Sequence[float], measured: Mapping[str, Spread]) -> Draws:
        """Build from the criteria's names, their assumed wander, their parts of alpha and what the history shows."""
        spreads = tuple(Spread.blended(measured.get(name), own) for name, own in zip(names, wander.tolist(), strict=True))
        tails = [draw_alpha(plan.alpha) * part for part in parts]
        return cls(
            spreads,
            np.array([spread.widening(tail, 1.0, math.inf) for spread, tail in zip(spreads, tails, strict=True)]),
            np.array([spread.widening(draw_alpha(plan.alpha_promote), 1.0, math.inf) for spread in spreads]),
        )

    def widenings(self, window: Window) -> tuple[Array, Array]:
        """Return what the draw can do in a window, for rollback and for promotion, each of shape (criteria,)."""
        factor = draw_factor(window.canary_servers, window.stable_servers)
        return self.rollback * factor, self.promote * factor


def draw_factor(canary: float, stable: float) -> float:
    """Return the standard deviation of the difference of both tracks' means, where servers have one of 1."""
    return math.sqrt(1.0 / canary + 1.0 / stable)


def widened_grid(grid: Array, rollback: Array, promote: Array) -> tuple[Array, Flags]:
    """Return a grid of `binomial.grid_points`, shape (rows, 2 + 2 gaps), widened, and which of its points can be evidence.

    Where the draw alone can reach the margin, the points of promotion can be none: a bet on "no change" would lie on the wrong side.
    """
    gaps = grid.shape[1] // 2 - 1
    of_rollback = np.array([1.0, 0.0, *[1.0] * gaps, *[0.0] * gaps])
    widened = grid + rollback[:, None] * of_rollback - promote[:, None] * (1.0 - of_rollback)
    return widened, (of_rollback > 0) | (widened[:, 1:2] > 0)
