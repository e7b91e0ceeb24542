"""The notebook is kept without outputs, and does from top to bottom what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.adapters import local
from tfcanary.core.plan import Plan
from tfcanary.core.record import State

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CELL = 400
"""Seconds for one cell on a machine that does much else: alone it is a minute at most."""


def cells(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return found


def code(notebook: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(notebook) if cell["cell_type"] == "code")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.name)
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    run = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert len(run) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in run)
    assert set(json.loads(notebook.read_text())["metadata"]["kernelspec"]) == {"display_name", "language", "name"}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.name)
def test_a_notebook_links_what_exists(notebook: Path) -> None:
    text = "\n".join("".join(cell["source"]) for cell in cells(notebook) if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert links
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_a_cluster_is_one_other_line() -> None:
    """The platform is named once, and everything else reads it there."""
    text = code(FOLDER / "release.ipynb")
    assert len(re.findall(r"^PLATFORM = ", text, re.M)) == 1
    assert 'PLATFORM = "kube://serving"' in text
    assert "kube://" not in text.replace('PLATFORM = "kube://serving"', "")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_promotes_a_better_model_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="no nbformat on this machine: pip install nbclient ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="no nbclient on this machine: pip install nbclient ipykernel")
    notebook = nbformat.read(FOLDER / "release.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    site = tmp_path / ".tfcanary" / "notebook" / "platform"
    try:
        nbclient.NotebookClient(notebook, timeout=CELL, kernel_name="python3", resources=where).execute()
        assert local.status(site)["up"] is False, "the last cell takes it down"
    finally:
        local.down(site)
    record = ledger.read(adapters.open_platform(f"local://{site}", "digits", Plan()))
    assert [line.state for line in record.history] == [State.PROMOTED, State.PROMOTED]
    assert record.release
    assert (record.release.state, record.release.first_traffic) == (State.REFUSED, None)
    assert "accuracy" in record.release.reason
    assert (record.stable and record.stable.number) == 2
    pages = [data["text/html"] for cell in notebook.cells for data in shown(cell) if "srcdoc" in data.get("text/html", "")]
    answers = [re.search(r"&lt;h1&gt;.*?([A-Z][a-z ]+)&lt;/h1&gt;", page, re.S) for page in pages]
    assert [found.group(1) for found in answers if found] == ["Promoted", "Promoted", "Refused before any traffic"]
    assert "&lt;svg" in pages[1]
    assert "'failed'" not in "".join(data["text/plain"] for cell in notebook.cells for data in shown(cell)), "no user noticed"


def shown(cell: Any) -> list[dict[str, str]]:
    """What a cell displayed, by media type."""
    return [output["data"] for output in cell.get("outputs", ()) if "data" in output]
