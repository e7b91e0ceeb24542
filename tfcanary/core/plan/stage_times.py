"""The part of a plan about time: how many stages there are, and how long each is watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tfcanary.core.durations import written

MAX_STAGES = 5
"""How many stages the compiled graph has room for: 60 pods at most."""


LONGEST_STAGE = timedelta(days=7)
"""A week of traffic, pauses included. The compiled pipeline gives the step that watches this time and a day, and more for closed windows."""


def seconds(number: float) -> timedelta:
    """Short for the defaults below."""
    return timedelta(seconds=number)


def fraction(name: str, value: float, high: float = 1.0) -> None:
    """Raises ValueError, naming the field, where it is no share."""
    if not 0 < value <= high:
        raise ValueError(f"{name} {value}: must be above 0 and at most {high:g}")


class OnUndecided(StrEnum):
    """What a stage that could not decide in its maximum time means."""

    ROLLBACK = "rollback"
    PROMOTE = "promote"
    """Somebody takes the risk of too few requests. It never covers a criterion that had no data at all: that is a rollback."""


class Approval(StrEnum):
    """Whether a stage that went well waits for a person's word: `tfcanary approve` or `tfcanary reject`."""

    NONE = "none"
    PROMOTION = "promotion"
    """Before the promotion."""
    EVERY = "every"
    """At the end of each stage."""


class WaitingPolicy(StrEnum):
    """Who waits while a release is active."""

    NEWEST = "newest"
    """One candidate: a newer one takes the place of the one that waits. What was trained last is what people want."""
    ALL = "all"
    """Every candidate, oldest first, as many as the record holds (`act.queue.MOST`)."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """How long each stage is watched."""

    minimum: timedelta = seconds(300)
    """At least this long at each weight, whatever the evidence."""
    maximum: timedelta = seconds(3600)
    """Undecided after this long, the stage ends as `on_undecided` says."""
    poll: timedelta = seconds(10)
    """Time between two looks; not shorter than the scrape interval of the metric source."""
    on_undecided: OnUndecided = OnUndecided.ROLLBACK
    """A canary that could not be shown to be good is not promoted, unless the plan says so."""
    approval: Approval = Approval.NONE
    """The judge goes on watching meanwhile, and may roll back."""
    patience: timedelta = seconds(24 * 3600)
    """How long a stage may be paused, or wait for approval, all in all; then undecided. This time does not count into `maximum`."""
    samples: int = 0
    """The least number of canary requests before a stage ends well; a stage that has fewer after `maximum` is undecided."""

    def __post_init__(self) -> None:
        if self.patience < seconds(0) or self.maximum + self.patience > LONGEST_STAGE + timedelta(days=1):
            most = f"{written(LONGEST_STAGE)} and a day, which is what the pod of a watch has beside closed windows"
            raise ValueError(
                f"maximum {written(self.maximum)}, patience {written(self.patience)}: must not be negative, and together be at most {most}"
            )
        if not seconds(0) < self.poll <= self.minimum <= self.maximum:
            raise ValueError(
                f"poll {written(self.poll)}, minimum {written(self.minimum)}, maximum {written(self.maximum)}: must be positive and rise in this order"
            )
        if self.samples < 0:
            raise ValueError(f"samples {self.samples}: must be a number of requests, 0 or more")
