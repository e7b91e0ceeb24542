"""Whose drift it is: three comparisons together say what each of them alone cannot.

Serving now against the training reference shows the world; the canary's requests against stable's of the same minutes show the split;
the canary's answers against stable's show the canary, and those of a better model differ, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tfcanary.core.domain import Evidence, Finding

ABOUT = "drift/attribution"


class Blame(StrEnum):
    """What has changed."""

    NOBODY = "nothing"
    SPLIT = "the split"
    WORLD = "the world"
    CANARY = "the canary"
    BOTH = "the world and the canary"
    OTHERWISE = "the canary's scores"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """One combination and what it means; None stands for any."""

    inputs: bool | None
    """The canary's requests differ from stable's of the same minutes."""
    world: bool | None
    """Both tracks' requests differ from the training reference."""
    classes: bool | None
    """The canary says other classes than stable."""
    scores: bool | None
    blame: Blame
    sentence: str


TABLE = (
    Row(
        True,
        None,
        None,
        None,
        Blame.SPLIT,
        "requests of the same minutes differ between the tracks: mend the split first, the rest says nothing",
    ),
    Row(False, True, True, None, Blame.BOTH, "the world has changed, and on the same requests the canary says other classes than stable"),
    Row(
        False,
        True,
        False,
        None,
        Blame.WORLD,
        "both tracks drift alike: the world has changed, hold and think of retraining; the canary is not to blame",
    ),
    Row(False, False, True, None, Blame.CANARY, "the requests are alike and as in training: it is the canary that says other classes"),
    Row(
        False, False, False, True, Blame.OTHERWISE, "only the canary's scores differ, as a better model's would: this alone decides nothing"
    ),
    Row(False, False, False, False, Blame.NOBODY, "requests and answers are alike on both tracks"),
)
"""The first row that fits is the finding; whatever fits none has too little data to be told."""
UNTOLD = Row(None, None, None, None, Blame.UNKNOWN, "too few requests to tell whose drift it would be")


def attribute(inputs: bool | None, world: bool | None, classes: bool | None, scores: bool | None) -> Row:
    """The row of the table for what drifted; None where a comparison could not tell."""
    seen = (inputs, world, classes, scores)
    for row in TABLE:
        if all(want is None or want == is_ for want, is_ in zip((row.inputs, row.world, row.classes, row.scores), seen, strict=True)):
            return row
    return UNTOLD


def evidence(found: Sequence[Evidence]) -> Evidence:
    """What the comparisons say together; shown only, as each of them decides for itself."""
    drifted = {e.about.removeprefix("drift/"): _drifted(e.finding) for e in found}
    # Absent by plan or by nature is not the same as undecided: without a reference the world counts as it was.
    row = attribute(*(drifted.get(name, False) for name in ("inputs", "world", "classes", "scores")))
    figures: dict[str, float | str] = {"changed": row.blame.value}
    quiet = row.blame in (Blame.NOBODY, Blame.OTHERWISE)
    finding = Finding.PASS if quiet else Finding.INCONCLUSIVE if row is UNTOLD else Finding.WARN
    return Evidence(ABOUT, finding, row.sentence, gating=False, figures=figures)


def world_drifted(found: Sequence[Evidence]) -> str:
    """The sentence of the world's drift where it is the world's and not the split's; else empty."""
    blame = next((e.figures.get("changed") for e in found if e.about == ABOUT), "")
    if blame not in (Blame.WORLD.value, Blame.BOTH.value):
        return ""
    return next((e.reason for e in found if e.about == "drift/world"), "")


def _drifted(finding: Finding) -> bool | None:
    return None if finding is Finding.INCONCLUSIVE else finding in (Finding.WARN, Finding.FAIL)
