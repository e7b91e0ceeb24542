"""The judge's state as text: stable's level, the calibration, and every window as it was counted.

The windows lie in the text, or are kept beside it by whoever stores both: a text that is written at every poll need not grow.

All else is recomputed from the windows. So each verdict can be audited from the state alone, and a judge that was stopped at any
poll goes on as if it had not been stopped. Alpha is spent once in a release: a state can be resumed for its own release and plan
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.stable_level import StableLevel
from tfcanary.decide.judge.watch_windows import Course, Window

SCHEMA = 6
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
    beside: int = 0
    """Number of windows before `windows`, which are kept beside the text."""


def loads(text: str, release: str, plan: JudgePlan, beside: Sequence[Window] = ()) -> JudgeState:
    """Read a state from `text` and from the windows that were kept beside it, oldest first.

    Raises Refused where it is not a state, or is of another schema, release or plan, or where windows are missing.
    """
    state: JudgeState = codec.loads(JudgeState, text, at="judge state")
    digest = codec.digest(plan)
    for name, value, expected in (("schema", state.schema, SCHEMA), ("release", state.release, release), ("plan", state.plan, digest)):
        if value != expected:
            raise Refused(f"judge state: {name} {value!r}; this is {expected!r}: another judge would spend alpha twice")
    if len(beside) != state.beside:
        raise Refused(f"judge state: it was written beside {state.beside} windows, and {len(beside)} are there")
    return replace(state, windows=(*beside, *state.windows), beside=0)
