"""The Dockerfile, parsed: its stages, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)
    """Instruction and the rest of its line."""

    def of(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == instruction]


@dataclass(frozen=True)
class Dockerfile:
    arguments: dict[str, str]
    """Of the file, before its first stage."""
    stages: dict[str, Stage]

    def chain(self, target: str) -> list[Stage]:
        """The stages that a target is made of, outermost first."""
        stage = self.stages[target]
        return [*(self.chain(stage.base) if stage.base in self.stages else ()), stage]


def read() -> Dockerfile:
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, word, name = rest.split()
            assert word == "AS", line
            stages[name] = Stage(name, base)
        elif stages:
            list(stages.values())[-1].instructions.append((instruction, rest))
        else:
            assert instruction == "ARG", line
            name, _, value = rest.partition("=")
            arguments[name] = value
    return Dockerfile(arguments, stages)
