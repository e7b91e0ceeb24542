"""The argument of every static check: the candidate, the plan and the stable model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.facts import SavedModelFacts
from tfcanary.look.savedmodel.tree import Tree


@dataclass(frozen=True, slots=True)
class Case:
    """A candidate that could be read, with the plan and the stable model that it is compared with."""

    model: Path
    tree: Tree
    facts: SavedModelFacts
    plan: ValidationPlan
    stable: SavedModelFacts | None = None
    stable_path: Path | None = None
    """Path of the stable model; None where there is no stable model or only its facts are available."""
