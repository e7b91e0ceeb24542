"""Every file, module and name of the code that a document mentions is there."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import FILES, ROOT

FOLDERS = ("tfcanary", "components", "pipelines", "tests", "docs", "examples", "deploy", "bench", "notebooks")
PATH = re.compile(rf"(?<![\w/.>-])((?:{'|'.join(FOLDERS)})/[\w./*<>{{}}-]*)")
MODULE = re.compile(r"python -m ((?:tfcanary|pipelines|docs|bench|tests|examples)[\w.]*)")
TABLE = re.compile(r"^\| (?!-)[^|]+ \| ([^|]*`tfcanary/[^|]*) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def paths(text: str) -> Iterator[str]:
    """Of code spans and of fenced blocks: paths from the repository's root."""
    for code in (*re.findall(r"```.*?```", text, re.DOTALL), *CODE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))):
        found = (path.rstrip(".-") for path in PATH.findall(code))
        # With a placeholder it names no file; "examples/s" is a speed.
        yield from (path for path in found if not re.search(r"[<{]", path) and path != "examples/s")


def is_there(path: str) -> bool:
    return bool(list(ROOT.glob(path))) if "*" in path else (ROOT / path).exists()


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_every_path_that_a_document_names_exists(file: Path) -> None:
    assert [path for path in paths(file.read_text(encoding="utf-8")) if not is_there(path)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_every_module_that_a_document_starts_can_be_started(file: Path) -> None:
    for module in MODULE.findall(file.read_text(encoding="utf-8")):
        found = importlib.util.find_spec(module)
        assert found is not None, module
        assert found.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__"), module


def rows() -> list[str]:
    """The cells of "Where is what?" that say what to open."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    return TABLE.findall(text[text.index("## Where is what?") : text.index("## The record")])


def without_place(cell: str) -> list[str]:
    """The names in a cell that stand in none of its files."""
    codes = CODE.findall(cell)
    files = [
        file for path in codes if "/" in path and is_there(path) for file in ([ROOT / path] if "." in path else (ROOT / path).rglob("*.py"))
    ]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    names = [code for code in codes if NAME.fullmatch(code) and not code.endswith(".py")]
    missing = [name for name in names if any(not re.search(rf"\b{part}\b", text) for part in name.split("."))]
    beside = {path.name for path in files} | {path.name for path in (ROOT / "tfcanary").rglob("*.py")}
    return [*missing, *(code for code in codes if code.endswith(".py") and "/" not in code and code not in beside)]


@pytest.mark.parametrize("cell", rows(), ids=lambda cell: CODE.findall(cell)[0])
def test_every_name_of_where_is_what_stands_in_the_file_beside_it(cell: str) -> None:
    assert without_place(cell) == []


def test_the_table_is_found() -> None:
    assert len(rows()) > 50


def test_what_is_not_there_would_be_noticed() -> None:
    assert [
        path for path in paths("`tfcanary/nowhere.py`, `tests/docs/`, `deploy/rout*/nginx` and tfcanary/prose.py") if not is_there(path)
    ] == ["tfcanary/nowhere.py"]
    assert without_place("`tfcanary/core/domain.py` (`Counters.failed`, `Counters.broken`), `no_such.py`") == [
        "Counters.broken",
        "no_such.py",
    ]
