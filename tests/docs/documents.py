"""Every Markdown file of the repository, and what a reader copies out of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.markdown import Block, blocks

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "components", "pipelines", "deploy", "notebooks", "bench", "examples")
FILES = sorted((*ROOT.glob("*.md"), *(file for folder in FOLDERS for file in (ROOT / folder).glob("**/*.md"))))
PLACES = {"<digest>": "0" * 64, "<repository>": "registry.example.com"}
"""What a reader replaces, and what stands in its place here."""
CALL = re.compile(r"(?:^\s*(?:\$ )?|\s{2,})tfcanary(?=\s+[a-z-])")
"""At the beginning of a line, or after a gap."""


@dataclass(frozen=True)
class Place:
    """A block and where it stands."""

    file: Path
    block: Block

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.block.line}"


def all_blocks(*languages: str) -> list[Place]:
    """Every fenced block in one of the languages."""
    return [Place(file, one) for file in FILES for one in blocks(file.read_text(encoding="utf-8")) if one.language in languages]


def filled(text: str) -> str:
    """With the placeholders replaced."""
    for place, value in PLACES.items():
        text = text.replace(place, value)
    return text


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every call of `tfcanary`: comments and prompts dropped, continued lines joined, the brackets of options opened."""
    joined = re.sub(r"\\\n\s*|\n {6,}(?=\[?--)", " ", text)
    for line in re.split(r"\n|&&|;", re.sub(r"(?m)(?:^|\s)#\s.*$", "", joined)):
        for call in CALL.split(line)[1:]:
            yield shlex.split(re.sub(r"[\[\]]", " ", re.sub(r"\s[|>]\s.*|\s{3,}.*", "", call)))
