"""What the trial's process is told, and how it says how far it got."""

from __future__ import annotations

from dataclasses import dataclass

from tfcanary.core.domain import Look, Request
from tfcanary.core.plan import ValidationPlan


@dataclass(frozen=True, slots=True)
class Job:
    """The model to try, and with what."""

    model: str
    plan: ValidationPlan
    requests: tuple[Request, ...] = ()
    stable: str = ""
    """The model that serves now, to be tried beside it; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of the result: what the process does now, or all that it found."""

    doing: str = ""
    ready: bool = False
    """From here on, whatever happens is the model's doing, not TensorFlow's start."""
    refused: str = ""
    """Why the plan cannot be followed."""
    look: Look | None = None
    """Everything that was found so far; the last one counts."""
    done: bool = False
