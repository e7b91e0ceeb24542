"""What `drift` and `profile` share: which rows and columns are read, and the bar that shows how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tfcanary.core.plan import DriftPlan
from tfcanary.look.evaluate.sources import Selection
from tfcanary.run import steps

_OPTIONS = (
    click.option("--columns", default="", metavar="A,B", help="Compare only these columns."),
    click.option("--entity", default="", metavar="COLUMN", help="The column whose rows belong together, for example a user."),
    click.option("--time-column", default="", metavar="COLUMN", help="An instant, or seconds since 1970: what --since and --until mean."),
    click.option("--since", type=click.DateTime(), help="Only rows from here on (UTC) ..."),
    click.option("--until", type=click.DateTime(), help="... until before this."),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as values."""

    selection: Selection
    columns: tuple[str, ...]
    """To be compared; the entity is read, too, but is none of them."""
    entity: str


def selection(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--columns`, `--entity`, `--time-column`, `--since`, `--until`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def asked(chosen: dict[str, Any], plan: DriftPlan | None = None) -> Asked:
    """What is typed wins over the plan."""
    columns = tuple(name for name in chosen["columns"].split(",") if name) or (plan.columns if plan else ())
    entity = chosen["entity"] or (plan.entity if plan else "")
    read = (*columns, *((entity,) if entity and columns else ()))
    return Asked(Selection(read, chosen["time_column"], chosen["since"], chosen["until"]), columns, entity)


def fetched(uri: str) -> Path:
    """What lies there, on this machine."""
    return steps.fetch(uri)


@contextmanager
def progress() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """A bar for each thing that is counted, on stderr; none where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:

        def bar(name: str) -> Callable[[int, int], None]:
            task = shown.add_task(name, total=None)
            return lambda done, total: shown.update(task, completed=done, total=total)

        yield bar
