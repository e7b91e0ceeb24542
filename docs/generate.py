"""Writes the parts of the documents that are read off the code: `python -m docs.generate`.

What it writes stands between marks such as `<!-- fields -->` and `<!-- /fields -->`; the rest of each file is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from docs import graph, interfaces, plan_tables, rates
from docs.markdown import put

ROOT = Path(__file__).parents[1]


def generated() -> Iterator[tuple[Path, str]]:
    """Each file with its generated part as it should be now."""
    plan = ROOT / "docs" / "plan.md"
    yield plan, put(plan.read_text(encoding="utf-8"), "fields", plan_tables.reference())
    comparison = ROOT / "docs" / "comparison.md"
    yield comparison, put(comparison.read_text(encoding="utf-8"), "rates", rates.rates(ROOT / "docs" / "judge.md"))
    for component in sorted(ROOT.glob("components/*/component.py")):
        readme = component.with_name("README.md")
        yield readme, put(readme.read_text(encoding="utf-8"), "interface", interfaces.interface(component))
    yield from graph.pictures(ROOT / "docs" / "images")


def main() -> None:
    """Write what is stale, and name it."""
    for path, text in generated():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
