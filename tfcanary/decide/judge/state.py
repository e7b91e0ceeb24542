"""The judge's state as text: what was frozen, what was calibrated, and every window as it was counted.

Everything else is recomputed from the windows, so that each verdict can be audited from the state alone and
a judge that was stopped at any poll goes on as if it never had been. Alpha is spent once a release: a state
answers only to its own release and plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.stable_level import Frozen
from tfcanary.decide.judge.watch_windows import Course, Window

SCHEMA = 4
"""Raised with every change of the fields below or of what they mean."""


@dataclass(frozen=True, slots=True)
class State:
    """All that the next process needs."""

    schema: int
    release: str
    plan: str
    """Digest of the judge's plan."""
    calibration: Calibration
    frozen: Frozen | None
    course: Course
    windows: tuple[Window, ...] = ()


def dumps(state: State, windows: Sequence[str]) -> str:
    """The state as canonical JSON, with its windows encoded already: a long watch encodes each only once."""
    text = codec.dumps(state)
    empty = '"windows":[]}'
    return f"{text.removesuffix(empty)}{empty[:-2]}{','.join(windows)}]}}"


def loads(text: str, release: str, plan: JudgePlan) -> State:
    """Read a state. Raises Refused where it is none, or is of another schema, release or plan."""
    state: State = codec.loads(State, text, at="judge state")
    digest = codec.digest(plan)
    for name, found, right in (("schema", state.schema, SCHEMA), ("release", state.release, release), ("plan", state.plan, digest)):
        if found != right:
            raise Refused(f"judge state: {name} {found!r}; this is {right!r}: another judge would spend alpha twice")
    return state
