"""What `drift` and `profile` share: the options that select rows and columns, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from tfcanary.core.plan import DriftPlan
from tfcanary.look.evaluate.sources import Selection

_OPTIONS = (
    click.option("--columns", default="", metavar="A,B", help="Compare only these columns."),
    click.option("--entity", default="", metavar="COLUMN", help="The column whose equal values belong together, for example a user's id."),
    click.option(
        "--time-column",
        default="",
        metavar="COLUMN",
        help="The time of a row, as an instant or in seconds since 1970, for --since and --until.",
    ),
    click.option("--since", type=click.DateTime(), help="Only rows from this time on (UTC)."),
    click.option("--until", type=click.DateTime(), help="Only rows before this time (UTC)."),
)


@dataclass(frozen=True, slots=True)
class RowSelection:
    """The values of the options: which rows and columns are read, and which columns are compared."""

    selection: Selection
    columns: tuple[str, ...]
    """The columns to compare. The entity column is read, too, and is not among them."""
    entity: str


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--columns`, `--entity`, `--time-column`, `--since` and `--until` to a verb."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def row_selection(chosen: dict[str, Any], plan: DriftPlan | None = None) -> RowSelection:
    """Return the selection; an option that was typed takes precedence over the plan."""
    columns = tuple(name for name in chosen["columns"].split(",") if name) or (plan.columns if plan else ())
    entity = chosen["entity"] or (plan.entity if plan else "")
    read = (*columns, *((entity,) if entity and columns else ()))
    return RowSelection(Selection(read, chosen["time_column"], chosen["since"], chosen["until"]), columns, entity)


@contextmanager
def progress() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Show a bar on stderr for each input that is counted; no bar where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:

        def bar(name: str) -> Callable[[int, int], None]:
            task = display.add_task(name, total=None)
            return lambda count, total: display.update(task, completed=count, total=total)

        yield bar
