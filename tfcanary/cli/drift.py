"""`drift`: whether what is, is distributed as what should be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tfcanary import report
from tfcanary.cli import options, rows
from tfcanary.cli.findings import EXIT
from tfcanary.core.domain import Finding
from tfcanary.core.plan import DriftPlan
from tfcanary.decide import drift as drifting
from tfcanary.look.evaluate import references
from tfcanary.run.submit.progress import COLOUR

SHOWN = 30
"""Columns in the terminal; the page and --json have them all."""


@click.command(short_help="Are rows distributed as others? Column by column.")
@click.argument("reference")
@click.argument("current")
@options.plan(required=False)
@rows.selection
@click.option("--look", type=click.IntRange(1), default=1, help="Number of this look at a growing window: each spends its share of alpha.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the report's page here.")
@options.as_json
def drift(reference: str, current: str, plan_file: Path | None, look: int, html: Path | None, json_: bool, **chosen: Any) -> None:
    """Compare CURRENT with REFERENCE, column by column.

    Exit 0 no drift, 1 drift, 2 bad input, 3 not enough data.

    \b
    Either is a file, folder or gs:// prefix of Parquet, Arrow, CSV, JSON lines, TFRecord, KServe logger records or Envoy
    taps; a profile; or a SavedModel that carries one.
    Example:  tfcanary drift exports/v2 gs://logs/digits/2026-01-31 --plan plan.yaml --html drift.html
    """
    plan = options.read_plan(plan_file).drift
    asked = rows.asked(chosen, plan)
    with rows.progress() as bar:
        first = references.read_or_count(rows.fetched(reference), None, asked.entity, asked.selection, bar(reference))
        second = references.read_or_count(rows.fetched(current), first.layout, asked.entity, asked.selection, bar(current))
    compared = drifting.compare(first, second, _settings(plan, asked), look)
    if html:
        html.write_text(report.drift_html(compared, f"{current} against {reference}"), encoding="utf-8")
        click.echo(f"report: {html}", err=True)
    if json_:
        options.print_json(as_json(compared))
    else:
        _show(compared)
    sys.exit(EXIT[compared.finding])


def _settings(plan: DriftPlan | None, asked: rows.Asked) -> drifting.ComparisonSettings:
    """A plan's numbers are those of a release's looks; without one, the defaults of a comparison on its own."""
    if plan is None:
        return drifting.ComparisonSettings(columns=asked.columns)
    return drifting.ComparisonSettings(plan.alpha, plan.warn, plan.fail, columns=asked.columns, importance=plan.importance)


def as_json(compared: drifting.Comparison) -> dict[str, Any]:
    """What `--json` prints."""
    bad = [column for column in compared.by_severity if column.finding is not Finding.PASS]
    return {
        "finding": compared.finding,
        "reasons": [f"{column.name}: {column.reason}" for column in bad],
        "n_reference": compared.n_reference,
        "n_current": compared.n_current,
        "alpha": compared.alpha,
        "columns": {
            column.name: {
                "finding": column.finding,
                "effect": round(column.effect, 6),
                "n_reference": column.n_reference,
                "n_current": column.n_current,
                "reasons": [
                    column.reason,
                    *(test.sentence for test in column.tests if test.significant and test.sentence not in column.reason),
                ],
            }
            for column in compared.columns
        },
    }


def _show(compared: drifting.Comparison) -> None:
    """The columns as a table, the worst first, the finding last, where the eye is."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("column", "finding", "moved", "why")
    for column in compared.by_severity[:SHOWN]:
        finding = f"[{COLOUR[column.finding]}]{column.finding.value}[/]"
        table.add_row(escape(column.name), finding, f"{column.effect:.1%}", escape(column.reason))
    console = Console()
    console.print(table)
    if len(compared.columns) > SHOWN:
        console.print(f"{len(compared.columns) - SHOWN} more columns: --html or --json")
    console.print(f"[bold {COLOUR[compared.finding]}]{compared.finding.value}[/]")
