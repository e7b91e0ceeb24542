"""Problems into evidence: every check of the gate ends here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tfcanary.core.domain import Evidence, Finding

SHOWN = 80
"""Characters of a foreign text that a sentence shows."""
SENTENCES = 3
"""Problems that a reason spells out; the others are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be."""

    finding: Finding
    sentence: str


def fails(sentence: str) -> Problem:
    """A problem that no traffic should ever meet."""
    return Problem(Finding.FAIL, sentence)


def warns(sentence: str) -> Problem:
    """A problem that somebody should look at."""
    return Problem(Finding.WARN, sentence)


def evidence(about: str, problems: Iterable[Problem], good: str, figures: Mapping[str, float | str] | None = None) -> Evidence:
    """The worst problems as one piece of evidence; `good` is its reason where there are none."""
    order = list(Finding)
    found = sorted(problems, key=lambda one: -order.index(one.finding))
    finding = found[0].finding if found else Finding.PASS
    reason = "; ".join(one.sentence for one in found[:SENTENCES]) or good
    if len(found) > SENTENCES:
        reason += f"; and {len(found) - SENTENCES} more"
    return Evidence(about=f"savedmodel/{about}", finding=finding, reason=_unexpanded(reason), figures=figures or {})


def shown(text: str, longest: int = SHOWN) -> str:
    """A text from a model, quoted, cut, and harmless wherever a reason goes: printable, and nothing that Argo or Kubernetes would expand."""
    plain = repr(_unexpanded(text))
    return plain if len(plain) <= longest else plain[: longest - 4] + "...'"


def _unexpanded(text: str) -> str:
    return text.replace("{{", "{ {").replace("$(", "$ (")
