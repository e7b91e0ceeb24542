"""The verb `drift`: compares the distribution of current data with that of a reference."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tfcanary.cli import options, outputs, rows
from tfcanary.cli.findings import EXIT
from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused
from tfcanary.core.plan import DriftPlan
from tfcanary.decide import drift as drift_test
from tfcanary.look.evaluate import references
from tfcanary.report.of_drift import drift_page
from tfcanary.run import steps
from tfcanary.run.submit.progress import COLOUR

MOST = 30
"""The largest number of columns in the terminal; the page and `--json` have all of them."""


@click.command(short_help="Compare the distributions of two data sets, column by column.")
@click.argument("reference")
@click.argument("current")
@options.plan(required=False)
@rows.selection_options
@click.option(
    "--look",
    type=click.IntRange(1),
    default=1,
    help="The number of this comparison, where the same growing data is compared repeatedly; each comparison spends its share of alpha.",
)
@outputs.page_option("Write the report as a page into this file.")
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
    wanted = rows.row_selection(chosen, plan)
    with rows.progress() as bar:
        first = references.read_or_count(steps.fetch(reference), None, wanted.entity, wanted.selection, bar(reference))
        second = references.read_or_count(steps.fetch(current), first.layout, wanted.entity, wanted.selection, bar(current))
    for name, profile in ((reference, first), (current, second)):
        if wrong := references.counted_otherwise(profile, wanted.entity):
            raise Refused(f"{name}: {wrong}")
    if wanted.columns and first.rows and not first.tallies and not second.tallies:
        raise Refused(f"columns: {reference} and {current} have no column {', '.join(wanted.columns)}")
    comparison = drift_test.compare(first, second, _settings(plan, wanted), look)
    if html:
        outputs.write_page(html, drift_page(comparison, f"{current} against {reference}"))
    if json_:
        options.print_json(as_json(comparison))
    else:
        _print(comparison)
    sys.exit(EXIT[comparison.finding])


def _settings(plan: DriftPlan | None, wanted: rows.RowSelection) -> drift_test.ComparisonSettings:
    """Return the plan's settings; without a plan, the defaults of a single comparison."""
    if plan is None:
        return drift_test.ComparisonSettings(columns=wanted.columns)
    limits = drift_test.ComparisonSettings(plan.alpha, plan.warn, plan.fail, plan.unseen, plan.missing)
    return replace(limits, columns=wanted.columns, importance=plan.importance)


def as_json(comparison: drift_test.Comparison) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    not_passed = [column for column in comparison.by_severity if column.finding is not Finding.PASS]
    return {
        "finding": comparison.finding,
        "reasons": [f"{column.name}: {column.reason}" for column in not_passed],
        "n_reference": comparison.n_reference,
        "n_current": comparison.n_current,
        "alpha": comparison.alpha,
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
            for column in comparison.columns
        },
    }


def _print(comparison: drift_test.Comparison) -> None:
    """Print the columns as a table, the worst first, and the overall finding as the last line."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("column", "finding", "effect", "reason")
    for column in comparison.by_severity[:MOST]:
        finding = f"[{COLOUR[column.finding]}]{column.finding.value}[/]"
        table.add_row(escape(column.name), finding, f"{column.effect:.1%}", escape(column.reason))
    console = Console()
    console.print(table)
    if len(comparison.columns) > MOST:
        console.print(f"{len(comparison.columns) - MOST} more columns: see --html or --json")
    console.print(f"[bold {COLOUR[comparison.finding]}]{comparison.finding.value}[/]")
