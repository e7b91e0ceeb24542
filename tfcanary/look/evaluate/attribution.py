"""Attributes drift to the world, to the split or to the canary, from three comparisons together.

Requests now against the training reference show a change of the world. The canary's requests against stable's of the same minutes show
an uneven split. The canary's answers against stable's show a change of the model, which may also be an improvement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tfcanary.core.domain import Evidence, Finding

ABOUT = "drift/attribution"


class Blame(StrEnum):
    """The possible causes of drift."""

    NOBODY = "nothing"
    SPLIT = "the split"
    WORLD = "the world"
    CANARY = "the canary"
    BOTH = "the world and the canary"
    SCORES = "the canary's scores"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attribution:
    """A combination of results of the comparisons and its meaning; None as a result stands for any."""

    inputs: bool | None
    """Whether the canary's requests differ from stable's of the same minutes."""
    world: bool | None
    """Whether both tracks' requests differ from the training reference."""
    classes: bool | None
    """Whether the canary answers with other classes than stable."""
    scores: bool | None
    """Whether the canary's outputs are distributed in another way than stable's."""
    blame: Blame
    sentence: str


TABLE = (
    Attribution(
        True,
        None,
        None,
        None,
        Blame.SPLIT,
        "requests of the same minutes differ between the tracks: correct the split first, as the other comparisons depend on it",
    ),
    Attribution(
        False, True, True, None, Blame.BOTH, "the world has changed, and on like requests the canary answers other classes than stable"
    ),
    Attribution(
        False,
        True,
        False,
        None,
        Blame.WORLD,
        "both tracks drift alike: the world has changed, hold and consider retraining; the canary is not the cause",
    ),
    Attribution(
        False,
        False,
        True,
        None,
        Blame.CANARY,
        "the requests are alike and as in training, but the canary answers other classes than stable",
    ),
    Attribution(
        False,
        False,
        False,
        True,
        Blame.SCORES,
        "only the canary's scores differ, as those of a better model would: this alone decides nothing",
    ),
    Attribution(False, False, False, False, Blame.NOBODY, "requests and answers are alike on both tracks"),
)
"""The attributions in order; the first one that fits the results is the answer."""
UNKNOWN = Attribution(None, None, None, None, Blame.UNKNOWN, "too few requests to attribute a drift")
"""The attribution where a comparison had too few requests, so that no row of the table fits."""


def attribute(inputs: bool | None, world: bool | None, classes: bool | None, scores: bool | None) -> Attribution:
    """The attribution for the results of the four comparisons: whether each one drifted, None where it is undecided."""
    results = (inputs, world, classes, scores)
    for row in TABLE:
        wanted = (row.inputs, row.world, row.classes, row.scores)
        if all(one is None or one == result for one, result in zip(wanted, results, strict=True)):
            return row
    return UNKNOWN


def evidence(comparisons: Sequence[Evidence]) -> Evidence:
    """The attribution as evidence; it never gates, as each comparison decides for itself."""
    results = {
        one.about.removeprefix("drift/"): None if one.finding is Finding.INCONCLUSIVE else one.finding is not Finding.PASS
        for one in comparisons
    }
    # A comparison that is absent is not undecided: without a reference the world counts as unchanged.
    row = attribute(*(results.get(name, False) for name in ("inputs", "world", "classes", "scores")))
    figures: dict[str, float | str] = {"changed": row.blame.value}
    quiet = row.blame in (Blame.NOBODY, Blame.SCORES)
    finding = Finding.PASS if quiet else Finding.INCONCLUSIVE if row is UNKNOWN else Finding.WARN
    return Evidence(ABOUT, finding, row.sentence, gating=False, figures=figures)


def world_drift_reason(comparisons: Sequence[Evidence]) -> str:
    """The reason of the evidence about the world, where the drift is attributed to the world; empty otherwise."""
    blame = next((one.figures.get("changed") for one in comparisons if one.about == ABOUT), "")
    if blame not in (Blame.WORLD.value, Blame.BOTH.value):
        return ""
    return next((one.reason for one in comparisons if one.about == "drift/world"), "")
