"""The forecast of the verb `plan`: how long the stages take, printed, as JSON and as a page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from tfcanary.cli import outputs
from tfcanary.core import codec
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan, StageServers
from tfcanary.core.ports import Platform
from tfcanary.decide.judge.planning import Forecast, forecast, servers_sentence
from tfcanary.look.evaluate import baseline

_OPTIONS = (
    click.option("--rate", type=float, metavar="R", help="Requests a second to the model, in place of the rate that stable counts."),
    click.option("--error-rate", type=float, metavar="P", help="The share of requests that fail, for example 0.001."),
    click.option("--strict", is_flag=True, help="Exit 1 where a stage cannot decide in its time."),
    outputs.page_option("Write the forecast as a page into this file."),
)


@dataclass(frozen=True, slots=True)
class PlanForecast:
    """A forecast, and its assumptions in sentences."""

    forecast: Forecast
    notes: tuple[str, ...]


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--rate`, `--error-rate`, `--strict` and `--html` to a verb."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def forecast_of(plan: Plan, platform: Platform | None, rate: float | None, error_rate: float | None) -> PlanForecast | None:
    """Return the forecast from the numbers that were typed, and from the counters of stable where a platform is given.

    None where there is neither a rate nor a stable version that counts requests. Raises Refused where a number is out of range.
    """
    _check(rate, error_rate)
    if platform is None:
        if rate is None:
            return None
        base = baseline.assume(plan.judge, rate, error_rate)
        return PlanForecast(forecast(plan, base.baseline), base.notes)
    try:
        base = baseline.measure(platform, plan)
    except (Unavailable, Refused) as error:
        if rate is not None:
            base = baseline.assume(plan.judge, rate, error_rate)
            return PlanForecast(forecast(plan, base.baseline), (*base.notes, str(error)))
        click.echo(f"tfcanary: no forecast: {error}", err=True)
        return None
    with_typed = replace(
        base.baseline,
        rate=base.baseline.rate if rate is None else rate,
        error_rate=base.baseline.error_rate if error_rate is None else error_rate,
    )
    typed = [f"{name} as typed" for name, value in (("rate", rate), ("error rate", error_rate)) if value is not None]
    return PlanForecast(forecast(plan, with_typed), (*base.notes, *typed))


def _check(rate: float | None, error_rate: float | None) -> None:
    if rate is not None and not (0 < rate < math.inf):
        raise Refused(f"--rate {rate:g}: must be a number of requests a second above 0")
    if error_rate is not None and not 0 <= error_rate < 1:
        raise Refused(f"--error-rate {error_rate:g}: must be a share from 0 to below 1, for example 0.001")


def as_json(found: PlanForecast | None) -> dict[str, Any]:
    """Return the stages, the release along the plan, and the baseline, as `--json` prints them."""
    if found is None:
        return {"stages": []}
    forecast = found.forecast
    release = {"promote": forecast.promote, "rollback": forecast.rollback, "seconds": forecast.seconds, "by_servers": forecast.by_servers}
    base = {
        "rate": forecast.baseline.rate,
        "error_rate": forecast.baseline.error_rate,
        "notes": found.notes,
        "unseen": forecast.undetectable,
    }
    return {
        "decides": forecast.decides,
        "stages": codec.encode(forecast.stages),
        "release": codec.encode(release),
        "baseline": codec.encode(base),
    }


def print_forecast(found: PlanForecast | None) -> None:
    """Print the table of times, the sentences of the stages, and the assumptions."""
    if found is None:
        return
    from rich.console import Console
    from rich.table import Table

    from tfcanary.report import of_plan

    forecast = found.forecast
    level = f"{forecast.baseline.rate:.3g} requests/s, {100 * forecast.baseline.error_rate:.2g} % errors"
    table = Table(*of_plan.headings(forecast), title=f"{level}: time to a decision, and canary requests until then")
    for row in of_plan.outcome_rows(forecast):
        table.add_row(*(cell.replace(", ", "\n") for cell in row))
    Console().print(table)
    for number, stage in enumerate(forecast.stages):
        for sentence in stage.sentences:
            click.echo(f"stage {number}: {sentence}")
    if by_servers := servers_sentence(forecast):
        click.echo(by_servers)
    unjudged = (f"not judged by this plan: {', '.join(forecast.undetectable)}",) if forecast.undetectable else ()
    for note in (*found.notes, *unjudged):
        click.echo(f"({note})")
    click.echo(f"({of_plan.LATER})")


def write_page(found: PlanForecast | None, plan: Plan, schedule: tuple[str, ...], servers: tuple[StageServers, ...], html: Path) -> None:
    """Write the page with the stages and windows in `schedule`, and the servers of each stage; raises Refused where there is no forecast."""
    from tfcanary.report.of_plan import plan_page

    if found is None:
        raise Refused("--html: there is no forecast to draw; give --rate, or --name of a model whose stable version counts requests")
    weights = ", ".join(f"{weight} %" for weight in plan.weights)
    outputs.write_page(html, plan_page(found.forecast, f"A release with the weights {weights}", found.notes, schedule, servers))
