"""The messages between the gate and the trial's process: the job, and the progress of the trial."""

from __future__ import annotations

from dataclasses import dataclass

from tfcanary.core.domain import Look, Request
from tfcanary.core.plan import ValidationPlan


@dataclass(frozen=True, slots=True)
class Job:
    """What the trial's process should do: the model to try, and the requests to send."""

    model: str
    """Path of the candidate."""
    plan: ValidationPlan
    requests: tuple[Request, ...] = ()
    """The plan's golden requests; where it is empty, the trial makes requests up."""
    stable: str = ""
    """Path of the stable model, which is tried beside the candidate; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One line from the trial's process: the activity that begins now, or the evidence so far."""

    activity: str = ""
    """Name of the activity that begins now, for sentences."""
    ready: bool = False
    """Whether TensorFlow has started: the model causes every later event."""
    refusal: str = ""
    """Why the plan cannot be followed; empty where it can."""
    look: Look | None = None
    """All evidence so far; the last line with evidence counts."""
    complete: bool = False
    """Whether the trial has finished."""
