"""What one document says of another is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.markdown import anchors, links
from tests.docs.documents import FILES, ROOT


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    missing = [link for link in links(text) if not _leads(file, text, link)]
    assert not missing


def _leads(file: Path, text: str, link: str) -> bool:
    if "://" in link or link.startswith("mailto:"):
        return True
    name, _, heading = link.partition("#")
    target = (file.parent / name).resolve() if name else file
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not heading or heading in anchors(target.read_text(encoding="utf-8"))


def test_a_missing_file_and_a_missing_heading_are_noticed(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    assert _leads(readme, "", "docs/plan.md#every-field")
    assert not _leads(readme, "", "docs/plan.md#no-field")
    assert not _leads(readme, "", "docs/nowhere.md")


def test_anchors_are_made_as_github_makes_them() -> None:
    text = "# The `judge.errors` part\n## What, and why?\n## What, and why?\n```\n# no heading\n```\n### A [link](x.md) & more\n"
    assert anchors(text) == {"the-judgeerrors-part", "what-and-why", "what-and-why-1", "a-link--more"}


def test_links_in_code_and_in_comments_are_none() -> None:
    assert list(links("`[a](b)` <!-- [c](d) -->\n```\n[e](f)\n```\n[g](h) ![i](j)\n[`k`](l)")) == ["h", "j", "l"]


def test_every_document_is_reached_from_the_readme() -> None:
    reached, left = set[Path](), [ROOT / "README.md"]
    while left:
        file = left.pop()
        reached.add(file)
        named = ((file.parent / link.partition("#")[0]).resolve() for link in links(file.read_text(encoding="utf-8")) if "://" not in link)
        left += [one for one in named if one.suffix == ".md" and one.is_file() and one not in reached]
    assert not [str(file.relative_to(ROOT)) for file in FILES if file.parent == ROOT / "docs" and file not in reached]
