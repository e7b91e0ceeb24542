"""The verb `validate`: runs the check of a release's first step alone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfcanary.adapters.serving.requests import open_requests
from tfcanary.cli import options
from tfcanary.cli.findings import EXIT, print_look, reasons
from tfcanary.core import codec
from tfcanary.look import trial
from tfcanary.run import steps


@click.command(short_help="Check an exported SavedModel, and try it.")
@click.argument("model")
@click.option(
    "--stable", metavar="MODEL", help="The model that serves now. The candidate must answer every request that this model can answer."
)
@options.plan(required=False)
@options.as_json
def validate(model: str, stable: str | None, plan_file: Path | None, json_: bool) -> None:
    """Check an exported SavedModel and try it in a separate process.

    Exit 0 pass, 1 fail, 2 bad input, 3 could not decide.

    \b
    Example:  tfcanary validate exports/v2 --stable exports/v1
    """
    plan = options.read_plan(plan_file).validation
    requests = open_requests(str(steps.fetch(plan.golden))).requests(plan.golden_limit + 1) if plan.golden else ()
    candidate = steps.fetch(steps.candidate_uri(model))
    look = trial.validate(candidate, plan, steps.fetch(steps.candidate_uri(stable)) if stable else None, requests)
    if json_:
        checks, absent = codec.encode(look.evidence), codec.encode(look.absent)
        answer = {"finding": look.finding, "reasons": reasons(look), "digest": trial.digest(look), "checks": checks, "absent": absent}
        options.print_json(answer)
    else:
        print_look(look, model)
    sys.exit(EXIT[look.finding])
