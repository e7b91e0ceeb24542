"""Live progress of a release: a table in a notebook or a terminal, a line an event without one. Reads the record only."""

from __future__ import annotations

import importlib
import io
import sys
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from tfcanary.domain import Evidence, Finding
from tfcanary.record import Release
from tfcanary.submit.handle import Handle, Snapshot

COLOUR = {Finding.PASS: "green", Finding.WARN: "yellow", Finding.FAIL: "red", Finding.INCONCLUSIVE: "magenta"}
WIDTH = 110
"""Columns of the table in a notebook, which has no terminal to ask."""


def follow(handle: Handle) -> Snapshot:
    """Show the release until its pipeline has ended; returns how it ended."""
    if _kernel():
        return _displayed(handle)
    return _live(handle) if sys.stderr.isatty() else _lines(handle)


def _kernel() -> bool:
    """Whether a notebook's kernel runs this: it can change what it has displayed."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def _displayed(handle: Handle) -> Snapshot:
    display = importlib.import_module("IPython.display").display
    place, last = display({"text/plain": "the release has not begun yet"}, raw=True, display_id=True), None
    for seen in handle.follow():
        if (shown := in_notebook(seen)) != last:
            place.update(shown, raw=True)
            last = shown
    return seen


def in_notebook(seen: Snapshot) -> dict[str, Any]:
    """The picture by media type; what a model or a label says is escaped in it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_jupyter=False, color_system="standard", force_terminal=True)
    console.print(picture(seen))
    html = console.export_html(inline_styles=True, clear=False, code_format='<pre style="line-height: normal">{code}</pre>')
    return {"text/html": html, "text/plain": console.export_text()}


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
            print(f"{event.at:%H:%M:%S} {seen.record.model} at {event.weight} %: {event.what}", file=sys.stderr, flush=True)
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
            table.add_row(escape(one.about), f"[{COLOUR[one.finding]}]{one.finding.value}[/]", _interval(one), escape(one.reason))
    return table


def _interval(one: Evidence) -> str:
    return f"{one.interval.estimate:.3g} ({one.interval.low:.3g} to {one.interval.high:.3g}) {escape(one.unit)}" if one.interval else ""
