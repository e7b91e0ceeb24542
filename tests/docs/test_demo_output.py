"""What README shows of the demo is what the program prints today: every word of it is one of the program's, or a name of the demo."""

from __future__ import annotations

import ast
import re

import pytest

from docs.markdown import blocks
from tests.docs.documents import ROOT
from tfcanary.cli.demo.four_releases import CANDIDATES

SHORTEST = 6
"""Characters of a fixed part of a sentence that are looked for."""
NAMES = {"digits", "v", "image", "picture", "home", "you", "demo"}
"""What sentences of the program are filled in with."""
SHORT_WORDS = {"after", "input", "of", "on", "pages", "s", "to", "users"}
"""Fixed parts of sentences that are too short to be looked for."""


def fixed_words() -> list[str]:
    """The fixed parts of all sentences of the program, the longest first."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "tfcanary").rglob("*.py"))
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    parts = {" ".join(text.split()).strip(" .,:;") for text in texts if len(text) < 400}
    return sorted((part for part in parts if len(part) >= SHORTEST), key=len, reverse=True)


def foreign_words(shown: str, parts: list[str]) -> set[str]:
    """The words of a text that no sentence of the program has at such a place."""
    text = " ".join(shown.split())
    for part in parts:
        text = text.replace(part, " | ")
    return set(re.findall(r"[a-z]+", text.lower()))


@pytest.fixture(scope="module")
def parts() -> list[str]:
    return fixed_words()


def shown_output() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return next(block.text for block in blocks(text) if block.text.startswith("✓ the first model"))


def test_readme_shows_the_words_that_the_demo_prints(parts: list[str]) -> None:
    shown = " ".join(shown_output().split())
    assert foreign_words(shown, parts) <= NAMES | SHORT_WORDS
    for candidate in CANDIDATES:
        assert f"✓ {candidate.title}: " in shown
    assert len(re.findall(r"; (?:[\d,]+|no) requests? reached it", shown)) == 1 + len(CANDIDATES)


def test_another_word_would_be_noticed(parts: list[str]) -> None:
    other = "Keep the stable model's signature, and give what is new a signature of its own; no request reached it"
    assert foreign_words(other, parts) - NAMES - SHORT_WORDS
