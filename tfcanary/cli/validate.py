"""`validate`: the gate before traffic, alone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfcanary import codec, steps, trial
from tfcanary.cli import options
from tfcanary.cli.looks import EXIT, reasons, show


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
