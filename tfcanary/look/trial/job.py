"""The messages between the gate and the trial's process: the job, and the progress of the trial."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from tfcanary.core.domain import Look, Request
from tfcanary.core.plan import ValidationPlan


@dataclass(frozen=True, slots=True)
class Job:
    """What the trial's process should do."""

    model: str
    """Path of the candidate."""
    plan: ValidationPlan
    stable: str = ""
    """Path of the stable model, which is tried beside the candidate; empty where there is none."""
    left_out: str = ""
    """Why the trial gets only the first of the plan's golden requests; empty where it gets all of them."""


@dataclass(frozen=True, slots=True)
class RequestFile:
    """The golden requests in an open file, one a line; each iteration begins at the first, and only one may run at a time."""

    descriptor: int

    def __iter__(self) -> Iterator[Request]:
        """Yield the requests, reading one at a time."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        with open(self.descriptor, "rb", closefd=False) as file:
            for line in file:
                body, name, label = json.loads(line)
                yield Request(body, name, label)


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
