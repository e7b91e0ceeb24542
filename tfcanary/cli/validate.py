"""`validate`: the gate before traffic, alone."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tfcanary import codec, steps, trial
from tfcanary.cli import options
from tfcanary.domain import Finding, Look

EXIT = {Finding.PASS: 0, Finding.WARN: 0, Finding.FAIL: 1, Finding.INCONCLUSIVE: 3}
COLOUR = {Finding.PASS: "green", Finding.WARN: "yellow", Finding.FAIL: "red", Finding.INCONCLUSIVE: "magenta"}


@click.command()
@click.argument("model")
@click.option("--stable", metavar="MODEL", help="The model that serves now: the candidate must answer whoever it answers.")
@options.plan(required=False)
@options.as_json
def validate(model: str, stable: str | None, plan_file: Path | None, json_: bool) -> None:
    """Check an exported SavedModel and try it in a process of its own. Exit 0 pass, 1 fail, 2 bad input, 3 could not decide.

    \b
    Example:  tfcanary validate exports/v2 --stable exports/v1
    """
    plan = options.read_plan(plan_file)
    look = trial.validate(steps.fetch(model), plan.validation, steps.fetch(stable) if stable else None)
    if json_:
        options.print_json({"finding": look.finding, "reasons": reasons(look), "checks": codec.encode(look.evidence)})
    else:
        show(look, model)
    sys.exit(EXIT[look.finding])


def reasons(look: Look) -> list[str]:
    """Why it is not a plain pass, worst first."""
    order = list(Finding)
    found = [e for e in look.evidence if e.finding is not Finding.PASS]
    return [e.reason for e in sorted(found, key=lambda e: -order.index(e.finding))]


def show(look: Look, title: str) -> None:
    """The look as a table, the finding last, where the eye is."""
    table = Table("check", "finding", "why", title=title)
    for one in look.evidence:
        table.add_row(one.about, f"[{COLOUR[one.finding]}]{one.finding.value}[/]", one.reason)
    for missing in look.absent:
        table.add_row(missing.about, "", missing.reason, style="dim")
    console = Console()
    console.print(table)
    console.print(f"[bold {COLOUR[look.finding]}]{look.finding.value}[/]")
