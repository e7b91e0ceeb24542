"""What the checks of the gate are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.facts import SavedModelFacts
from tfcanary.look.savedmodel.tree import Tree


@dataclass(frozen=True, slots=True)
class Case:
    """A candidate that could be read, and what it is held against."""

    model: Path
    tree: Tree
    facts: SavedModelFacts
    plan: ValidationPlan
    stable: SavedModelFacts | None = None
    stable_path: Path | None = None
    """None also where only the facts of the stable model are known."""
