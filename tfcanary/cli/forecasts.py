"""How long a plan will take: what `plan` asks, prints and draws of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from tfcanary.core import codec
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.decide.judge.planning import Forecast, forecast
from tfcanary.look.evaluate import baseline

_OPTIONS = (
    click.option("--rate", type=float, metavar="R", help="Requests a second to the model, instead of what stable counts."),
    click.option("--error-rate", type=float, metavar="P", help="The share of them that fails, for example 0.001."),
    click.option("--strict", is_flag=True, help="Exit 1 where a stage cannot decide in its time."),
    click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the forecast as a page."),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """A forecast, and what it rests on."""

    forecast: Forecast
    notes: tuple[str, ...]


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--rate`, `--error-rate`, `--strict`, `--html`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def expect(plan: Plan, platform: Platform | None, rate: float | None, error_rate: float | None) -> Expected | None:
    """The forecast, from the numbers that were typed and from stable where a platform is given; None where neither says anything."""
    _check(rate, error_rate)
    if platform is None:
        if rate is None:
            return None
        known = baseline.assume(plan.judge, rate, error_rate)
        return Expected(forecast(plan, known.baseline), known.notes)
    try:
        known = baseline.measure(platform, plan)
    except (Unavailable, Refused) as error:
        if rate is not None:
            known = baseline.assume(plan.judge, rate, error_rate)
            return Expected(forecast(plan, known.baseline), (*known.notes, str(error)))
        click.echo(f"tfcanary: no forecast: {error}", err=True)
        return None
    typed = replace(
        known.baseline,
        rate=known.baseline.rate if rate is None else rate,
        error_rate=known.baseline.error_rate if error_rate is None else error_rate,
    )
    told = [f"{name} as typed" for name, value in (("rate", rate), ("error rate", error_rate)) if value is not None]
    return Expected(forecast(plan, typed), (*known.notes, *told))


def _check(rate: float | None, error_rate: float | None) -> None:
    if rate is not None and not (0 < rate < math.inf):
        raise Refused(f"--rate {rate:g}: must be a number of requests a second above 0")
    if error_rate is not None and not 0 <= error_rate < 1:
        raise Refused(f"--error-rate {error_rate:g}: must be a share from 0 to below 1, for example 0.001")


def as_json(expected: Expected | None) -> dict[str, Any]:
    """`stages`, `along the plan`, and what they rest on."""
    if expected is None:
        return {"stages": []}
    found = expected.forecast
    along = {"promote": found.promote, "rollback": found.rollback, "seconds": found.seconds}
    rests = {"rate": found.baseline.rate, "error_rate": found.baseline.error_rate, "notes": expected.notes, "unseen": found.undetectable}
    return {"decides": found.decides, "stages": codec.encode(found.stages), "release": codec.encode(along), "baseline": codec.encode(rests)}


def show(expected: Expected | None) -> None:
    """A table, the sentences, and what they rest on."""
    if expected is None:
        return
    from rich.console import Console
    from rich.table import Table

    from tfcanary.report import of_plan

    found = expected.forecast
    level = f"{found.baseline.rate:.3g} requests/s, {100 * found.baseline.error_rate:.2g} % errors"
    table = Table(*of_plan.headings(found), title=f"{level}: time to a decision, and canary requests until then")
    for row in of_plan.outcome_rows(found):
        table.add_row(*(cell.replace(", ", "\n") for cell in row))
    Console().print(table)
    for number, stage in enumerate(found.stages):
        for sentence in stage.sentences:
            click.echo(f"stage {number}: {sentence}")
    for note in (*expected.notes, *((f"not judged by this plan: {', '.join(found.undetectable)}",) if found.undetectable else ())):
        click.echo(f"({note})")
    click.echo(f"({of_plan.LATER})")


def write(expected: Expected | None, plan: Plan, html: Path) -> None:
    """The page; raises Refused where there is nothing to draw."""
    from tfcanary.report.of_plan import plan_html

    if expected is None:
        raise Refused("--html: there is no forecast to draw; give --rate, or --name of a model whose stable counts requests")
    weights = ", ".join(f"{weight} %" for weight in plan.weights)
    html.write_text(plan_html(expected.forecast, f"A release by way of {weights}", expected.notes), encoding="utf-8")
    click.echo(f"page written to {html}", err=True)
