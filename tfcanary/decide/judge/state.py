"""The judge's state as text: stable's level, the calibration, and every window as it was counted.

All else is recomputed from the windows. So each verdict can be audited from the state alone, and a judge that was stopped at any
poll goes on as if it had not been stopped. Alpha is spent once in a release: a state can be resumed for its own release and plan
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.stable_level import StableLevel
from tfcanary.decide.judge.watch_windows import Course, Window

SCHEMA = 5
"""Number of the format. Raise it with every change of the fields below or of their meaning."""


@dataclass(frozen=True, slots=True)
class JudgeState:
    """All that another process needs to go on with the watch."""

    schema: int
    release: str
    plan: str
    """The digest of the judge's plan."""
    calibration: Calibration
    frozen: StableLevel | None
    course: Course
    windows: tuple[Window, ...] = ()


def dumps(state: JudgeState, windows: Sequence[str]) -> str:
    """Return the state as canonical JSON.

    `windows` are the state's windows as JSON, oldest first: each is encoded once, however long the watch.
    """
    text = codec.dumps(state)
    empty = '"windows":[]}'
    return f"{text.removesuffix(empty)}{empty[:-2]}{','.join(windows)}]}}"


def loads(text: str, release: str, plan: JudgePlan) -> JudgeState:
    """Read a state from `text`. Raises Refused where it is not a state, or is of another schema, release or plan."""
    state: JudgeState = codec.loads(JudgeState, text, at="judge state")
    digest = codec.digest(plan)
    for name, value, expected in (("schema", state.schema, SCHEMA), ("release", state.release, release), ("plan", state.plan, digest)):
        if value != expected:
            raise Refused(f"judge state: {name} {value!r}; this is {expected!r}: another judge would spend alpha twice")
    return state
