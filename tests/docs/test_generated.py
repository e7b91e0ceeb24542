"""The parts of the documents that are read off the code are fresh, and say all of it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from docs import generate, graph, interfaces, plan_tables
from docs.markdown import put
from tests.docs.documents import ROOT
from tfcanary.core.plan import MAX_STAGES, Plan

GENERATED = dict(generate.generated())


@pytest.mark.parametrize("path", GENERATED, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_file_is_as_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path], "stale: python -m docs.generate"


def test_every_field_is_explained() -> None:
    rows = [line for line in plan_tables.reference().splitlines() if line.startswith("| `")]
    assert len(rows) > len(fields(Plan))
    assert not [row for row in rows if not row.rsplit("|", 2)[1].strip()]


def test_defaults_are_shown_as_one_writes_them() -> None:
    text = plan_tables.reference()
    for row in (
        "| `minimum` | time | `5m` |",
        "| `weights` | list of whole numbers | `[5, 25, 50]` |",
        "| `source` | text | **required** |",
    ):
        assert row in text


def test_text_is_only_put_between_marks_that_are_there() -> None:
    assert put("a <!-- x -->old<!-- /x --> b", "x", "new") == "a <!-- x -->\nnew\n<!-- /x --> b"
    with pytest.raises(ValueError, match="are missing"):
        put("a <!-- x --> b", "x", "new")


@pytest.mark.parametrize("component", sorted(ROOT.glob("components/*/component.py")), ids=lambda p: p.parent.name)
def test_every_input_and_output_has_its_row_and_its_words(component: Path) -> None:
    rows = [line for line in interfaces.interface(component).splitlines() if line.startswith("| `")]
    assert rows
    assert all(row.rsplit("|", 2)[1].strip() for row in rows)


def test_the_graph_is_the_compiled_pipelines() -> None:
    text = GENERATED[ROOT / "docs" / "images" / "graph.svg"]
    for step in ("validate_savedmodel", "compare_predictions", "judge_canary", "promote_canary", "rollback_canary", "guard_release"):
        assert f">{step}<" in text
    assert f"at most {MAX_STAGES}" in text


def test_a_step_that_is_missing_from_the_pipeline_is_missing_from_the_picture() -> None:
    import yaml

    from tfcanary.run.submit import package

    pipeline = next(yaml.safe_load_all(package(graph.PIPELINE)))
    inner = pipeline["components"]["comp-condition-2"]["dag"]["tasks"]
    inner["deploy-canary"]["dependentTasks"] = []
    del inner["push-model"]
    assert "push_model" not in graph.draw(graph.flow(pipeline))


@pytest.mark.parametrize("component", sorted(ROOT.glob("components/*/component.py")), ids=lambda p: p.parent.name)
def test_every_component_is_told_in_the_same_order(component: Path) -> None:
    text = component.with_name("README.md").read_text(encoding="utf-8")
    headings = [line for line in text.splitlines() if line.startswith("#") and " " in line]
    assert headings == [f"# {component.parent.name}", "## A worked call", "## What may go wrong", "## Inputs and outputs"]
