"""Builds evidence from the problems that a check of the gate finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tfcanary.core.domain import Evidence, Finding

QUOTE_LENGTH = 80
"""Largest number of characters of a foreign text in a sentence."""
SENTENCES = 3
"""Problems that a reason describes; the others are only counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem that a check found, with its severity."""

    finding: Finding
    sentence: str


def failure(sentence: str) -> Problem:
    """A problem that refuses the model."""
    return Problem(Finding.FAIL, sentence)


def warning(sentence: str) -> Problem:
    """A problem that does not refuse the model and that a person should look at."""
    return Problem(Finding.WARN, sentence)


def note(sentence: str) -> Problem:
    """A difference that breaks nothing and that the reason names where there is no problem."""
    return Problem(Finding.PASS, sentence)


def evidence(about: str, problems: Iterable[Problem], good: str, figures: Mapping[str, float | str] | None = None) -> Evidence:
    """The evidence of a check: the worst problems first, or `pass` with the reason `good` where there is no problem."""
    order = list(Finding)
    problems = list(problems)
    worst_first = sorted((one for one in problems if one.finding is not Finding.PASS), key=lambda one: -order.index(one.finding))
    finding = worst_first[0].finding if worst_first else Finding.PASS
    notes = [one.sentence for one in problems if one.finding is Finding.PASS][:SENTENCES]
    reason = "; ".join(one.sentence for one in worst_first[:SENTENCES]) or "; ".join((good, *notes))
    if len(worst_first) > SENTENCES:
        reason += f"; and {len(worst_first) - SENTENCES} more"
    return Evidence(about=f"savedmodel/{about}", finding=finding, reason=_without_expansions(reason), figures=figures or {})


def quote(text: str, longest: int = QUOTE_LENGTH) -> str:
    """A text from a model in quotes, at most `longest` characters, printable, and without what Argo or Kubernetes would expand."""
    plain = repr(_without_expansions(text))
    return plain if len(plain) <= longest else plain[: longest - 4] + "...'"


def _without_expansions(text: str) -> str:
    return text.replace("{{", "{ {").replace("$(", "$ (")
