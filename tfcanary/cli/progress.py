"""Live progress of a release: a table in a terminal, log lines without one. Reads the record only."""

from __future__ import annotations

import sys

import click
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from tfcanary.cli.looks import COLOUR
from tfcanary.domain import Evidence, Finding
from tfcanary.record import Release
from tfcanary.submit.handle import Handle, Snapshot


def follow(handle: Handle) -> Snapshot:
    """Show the release until its pipeline has ended; returns how it ended."""
    return _live(handle) if sys.stderr.isatty() else _lines(handle)


def _live(handle: Handle) -> Snapshot:
    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        for seen in handle.follow():
            live.update(picture(seen))
    return seen


def _lines(handle: Handle) -> Snapshot:
    told = 0
    for seen in handle.follow():
        events = seen.release.events
        for event in events[told:]:
            click.echo(f"{event.at:%H:%M:%S} {seen.record.model} at {event.weight} %: {event.what}", err=True)
        told = len(events)
    return seen


def picture(seen: Snapshot) -> Group:
    """Where the release stands: state, stages, requests per track, one line a criterion."""
    release = seen.release
    number = f" v{release.candidate.number}" if release.candidate else ""
    head = Text.assemble((f"{seen.record.model}{number} ", "bold"), f"{release.state.value}; weight {release.weight} %")
    return Group(head, _stages(release), _criteria(seen))


def _stages(release: Release) -> Progress:
    bars = Progress(TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn())
    for number, weight in enumerate(release.plan.weights):
        done = any(v.stage == number for v in release.watched)
        bars.add_task(f"stage {number}: {weight:>3} %", total=100, completed=100 if done else _spent(release, number))
    return bars


def _spent(release: Release, number: int) -> int:
    """Percent of a stage's minimum time that are over, as far as the watcher's last renewal shows."""
    if release.stage != number or release.stage_began is None or release.holder is None:
        return 0
    renewed = release.holder.until - release.plan.deploy.lease
    return round(min(max((renewed - release.stage_began) / release.plan.stage.minimum, 0.0), 0.99) * 100)


def _criteria(seen: Snapshot) -> Table:
    table = Table("criterion", "finding", "estimate (interval)", "why", box=None, pad_edge=False)
    for one in seen.seen.verdict.evidence if seen.seen else ():
        if one.interval or one.finding is not Finding.PASS:
            table.add_row(one.about, f"[{COLOUR[one.finding]}]{one.finding.value}[/]", _interval(one), escape(one.reason))
    return table


def _interval(one: Evidence) -> str:
    return f"{one.interval.estimate:.3g} ({one.interval.low:.3g} to {one.interval.high:.3g}) {escape(one.unit)}" if one.interval else ""
