"""The forms in which a plan's `weights` may be written: a list of numbers, a ramp, or a list of stages with values of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tfcanary.core.plan.stage_times import MAX_STAGES, Approval

Decode = Callable[[Any, Any, str], Any]
"""The codec's `decode`, which stands above the plan: a type, a plain value and its path, to a value of the type."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, and what it has of its own; what is left out is as in the plan's `stage`."""

    weight: int
    """The canary's share in this stage, in whole percent."""
    minimum: timedelta | None = None
    """The stage's own `stage.minimum`."""
    maximum: timedelta | None = None
    """The stage's own `stage.maximum`."""
    approval: Approval | None = None
    """The stage's own `stage.approval`: `every` makes this stage wait for a person at its end, `none` does not."""
    samples: int | None = None
    """The stage's own `stage.samples`."""


OWN = ("minimum", "maximum", "approval", "samples")
"""The fields of the plan's `stage` that a stage may have of its own."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Weights that grow from one number to another, each by a factor of the one before or by a step."""

    from_: int
    """The first weight, in whole percent."""
    to: int
    """The last weight, which the plan has in any case."""
    factor: float | None = None
    """Each weight is the one before, times this; rounded to whole percent."""
    step: int | None = None
    """Each weight is the one before, and this many percent more."""

    def __post_init__(self) -> None:
        if not 1 <= self.from_ < self.to < 100:
            raise ValueError(f"from {self.from_}, to {self.to}: must rise, from 1 to 99 percent; at 100 nothing is left to compare with")
        if (self.factor is None) is (self.step is None):
            raise ValueError(
                f"factor {_as_text(self.factor)}, step {_as_text(self.step)}: exactly one of the two must be given, for example factor: 2"
            )
        if self.factor is not None and not 1 < self.factor <= 100:
            raise ValueError(f"factor {self.factor:g}: must be above 1 and at most 100, for example 2")
        if self.step is not None and self.step < 1:
            raise ValueError(f"step {self.step}: must be at least 1 percent")
        if len(self.weights) > MAX_STAGES:
            grows = f"factor {self.factor:g}" if self.factor else f"step {self.step}"
            raise ValueError(
                f"from {self.from_}, to {self.to}, {grows}: gives the {len(self.weights)} weights {list(self.weights)}; at most "
                f"{MAX_STAGES} stages fit into the graph, so it must grow faster"
            )

    @property
    def weights(self) -> tuple[int, ...]:
        """The weights in whole percent, from the first to the last."""
        found, exact = [self.from_], float(self.from_)
        while found[-1] < self.to:
            exact = exact * self.factor if self.factor else exact + (self.step or 1)
            found.append(min(max(round(exact), found[-1] + 1), self.to))
        return tuple(found)


def expanded(document: Mapping[str, Any], at: str, decode: Decode) -> Mapping[str, Any]:
    """The document of a plan with `weights` as a list of numbers, and with `stages` where a stage has values of its own.

    `at` is the document's path. Raises Refused where a ramp or a stage is wrong.
    """
    weights, path = document.get("weights"), f"{at}.weights"
    if isinstance(weights, Mapping):
        ramp: Ramp = decode(Ramp, weights, path)
        return {**document, "weights": list(ramp.weights)}
    if not isinstance(weights, Sequence) or not any(isinstance(one, Mapping) for one in weights):
        return document
    rows = [one if isinstance(one, Mapping) else {"weight": one} for one in weights]
    stages: list[Stage] = [decode(Stage, one, f"{path}[{number}]") for number, one in enumerate(rows)]
    return {**document, "weights": [one.weight for one in stages], "stages": rows}


def _as_text(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
