"""Live progress of a release: a picture in a notebook or a terminal, lines of text elsewhere. Only snapshots of the record are read."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tfcanary.core.domain import ABSENT, Evidence, Finding
from tfcanary.core.ports import Clock
from tfcanary.core.record import Pause, Release, State
from tfcanary.report.numbers import RATIO, duration, plain, share, writer
from tfcanary.report.plots.text import cut, visible
from tfcanary.run.submit.current_wait import wait
from tfcanary.run.submit.snapshots import Snapshot
from tfcanary.run.submit.time_left import bounds, forecast, time_left

COLOUR = {Finding.PASS: "green", Finding.WARN: "yellow", Finding.FAIL: "red", Finding.INCONCLUSIVE: "orange1"}
WIDTH = 110
"""Columns of the picture in a notebook, where no terminal has a width."""
BAR = 20
"""Characters of a stage's bar."""
LONGEST = 240
"""Characters of a sentence: three lines of 80 columns."""
SPENT = "alpha spent"
"""The figure of an evidence that is its part of the plan's alpha."""
AGAINST = "e-value for rollback"
"""The figure of an evidence whose product with its part of alpha is its part of a conviction: all parts together convict at 1."""


def show(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    """Show each snapshot as it comes, in the way that fits where this process runs; returns the last one."""
    if _in_kernel():
        return _show_in_notebook(snapshots, clock)
    return _show_in_terminal(snapshots, clock) if sys.stderr.isatty() else _print_lines(snapshots, clock)


def _in_kernel() -> bool:
    """Whether a notebook's kernel runs this process: it can replace what it has displayed."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def _show_in_notebook(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    display = importlib.import_module("IPython.display").display
    place, last = display({"text/plain": "the release has not begun yet"}, raw=True, display_id=True), None
    for snapshot in snapshots:
        if (bundle := notebook_bundle(snapshot, clock.now())) != last:
            place.update(bundle, raw=True)
            last = bundle
    return snapshot


def notebook_bundle(snapshot: Snapshot, now: datetime) -> dict[str, Any]:
    """Return the picture by media type, as a notebook displays it; text of models and labels is escaped in it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_jupyter=False, color_system="standard", force_terminal=True)
    console.print(picture(snapshot, now))
    html = console.export_html(inline_styles=True, clear=False, code_format='<pre style="line-height: normal">{code}</pre>')
    return {"text/html": html, "text/plain": console.export_text()}


def _show_in_terminal(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    with Live(console=Console(stderr=True, highlight=False), refresh_per_second=4, transient=True) as live:
        for snapshot in snapshots:
            live.update(picture(snapshot, clock.now()))
    return snapshot


def _print_lines(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    printed, stage = 0, -1
    for snapshot in snapshots:
        release, model = snapshot.release, snapshot.record.model
        for event in release.events[printed:]:
            _print(f"{event.at:%H:%M:%S} UTC {model} at {event.weight} %: {visible(event.what)}")
        printed = len(release.events)
        if release.stage > stage and (left := time_left(release, snapshot.outline, clock.now())):
            _print(f"{clock.now():%H:%M:%S} UTC {model} at {release.weight} %: stage {release.stage} ends: {bounds(left)}")
            stage = release.stage
    return snapshot


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def picture(snapshot: Snapshot, now: datetime) -> Group:
    """Draw where the release stands: its activity, gates, stages, time left, requests, and one line for each criterion."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (*_time_rows(snapshot, now), *_request_rows(snapshot)):
        facts.add_row(name, value)
    release = snapshot.release
    return Group(_head(snapshot, now), _gates(release), _stages(release, now), facts, _criteria(snapshot), _reasons(snapshot))


def _head(snapshot: Snapshot, now: datetime) -> Text:
    release = snapshot.release
    number = f" v{release.candidate.number}" if release.candidate else ""
    state = Text.assemble((f"{snapshot.record.model}{number}  ", "bold"), (_activity(release), "bold cyan"))
    return state.append(f"  for {duration(max(round((now - release.began).total_seconds()), 0))}", "dim")


def _activity(release: Release) -> str:
    if release.state is State.OPEN:
        return "is being checked and deployed; it has no traffic"
    if release.state is not State.WATCHED:
        return release.state.value
    if release.pause:
        watched = ", and watched" if release.weight else ""
        return f"{_wait(release, release.pause)} at {release.weight} %{watched}"
    if release.holder and release.holder.watching:
        return f"is being watched at {release.weight} %"
    return f"is between two steps at {release.weight} %{', watched by its guard' if release.weight else ''}"


def _wait(release: Release, pause: Pause) -> str:
    """What a release waits for."""
    if pause.until:
        return f"waits for its window, until {release.plan.on_the_clock(pause.until)} at the latest,"
    return "waits for a person to approve it" if pause.approval else "is paused"


def _gates(release: Release) -> Text:
    line = Text("")
    for name, look in release.looks.items():
        line.append(f"{name} ", "dim").append(f"{look.answer}  ", "dim" if look.answer == ABSENT else COLOUR[look.finding])
    return line


def _stages(release: Release, now: datetime) -> Table:
    table = Table.grid(padding=(0, 2))
    verdicts = {verdict.stage: verdict for verdict in release.watched}
    for number, weight in enumerate(release.plan.weights):
        verdict = verdicts.get(number)
        part = 1.0 if verdict else _part_of_minimum(release, number, now)
        colour = "cyan" if verdict is None else "red" if verdict.decision.value == "rollback" else "green"
        bar = Text("━" * round(BAR * part), colour).append("━" * (BAR - round(BAR * part)), "bright_black")
        text = verdict.decision.value if verdict else f"{share(part)} of its least time" if part else ""
        table.add_row(f"stage {number}", f"{weight:>3} %", bar, Text(text, "dim"))
    return table


def _part_of_minimum(release: Release, number: int, now: datetime) -> float:
    """How much of a stage's minimum time is over, from 0 to 1."""
    if release.stage != number or release.stage_began is None:
        return 0.0
    return round(min(max((now - release.stage_began) / release.plan.times(number).minimum, 0.0), 1.0), 2)


def _time_rows(snapshot: Snapshot, now: datetime) -> Iterable[tuple[str, str]]:
    if found := wait(snapshot.release, snapshot.outline, now):
        yield "waits for", str(found)
    left = time_left(snapshot.release, snapshot.outline, now)
    if left is None:
        return
    yield "stage ends", bounds(left)
    if probable := forecast(left):
        yield "promotion", probable


def _request_rows(snapshot: Snapshot) -> Iterable[tuple[str, str]]:
    points = snapshot.outline.points if snapshot.outline else ()
    if not points:
        return
    stable, canary = points[-1].stable_requests, points[-1].canary_requests
    own = f" ({share(canary / (stable + canary))} of all so far)" if stable + canary else ""
    yield "requests", f"stable {plain(stable)}, canary {plain(canary)}{own}"
    parts = [one for one in _evidence(snapshot) if SPENT in one.figures]
    if parts:
        judge = snapshot.release.plan.judge
        spent = sum(float(one.figures[SPENT]) for one in parts if one.gating)
        against = sum(float(one.figures[SPENT]) * float(one.figures[AGAINST]) for one in parts if one.gating)
        yield "alpha spent", f"{plain(spent)} of {plain(judge.alpha)}, by {len(parts)} criteria"
        yield "against it", f"{share(min(against, 1.0))} of the evidence that rolls back"


def _evidence(snapshot: Snapshot) -> tuple[Evidence, ...]:
    """The evidence of the last poll; empty before the first one."""
    return snapshot.checkpoint.verdict.evidence if snapshot.checkpoint else ()


def _criteria(snapshot: Snapshot) -> Table:
    """One line for each measured criterion, in 80 columns."""
    measured = [one for one in _evidence(snapshot) if one.interval]
    titles = ("criterion", "finding", "estimate", "interval", "limit")
    table = Table(*titles, box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(measured))
    for one in measured:
        name = escape(cut(one.about.removeprefix("metrics/"), 24))
        table.add_row(name, f"[{COLOUR[one.finding]}]{one.finding.value}[/]", *_numbers(one))
    return table


def _numbers(one: Evidence) -> tuple[str, str, str]:
    assert one.interval is not None
    times, write = "×" if one.unit == RATIO else "", writer(one.unit)
    limit = one.margin if one.margin is not None else one.tolerance
    interval = f"{write(one.interval.low)} to {write(one.interval.high)}{times}"
    return f"{write(one.interval.estimate)}{times}", interval, f"{write(limit)}{times}" if limit is not None else ""


def _reasons(snapshot: Snapshot) -> Text:
    """The judge's last reason, and each finding without an interval that fails or warns."""
    if snapshot.checkpoint is None or snapshot.release.state is not State.WATCHED:
        return Text(cut(visible(snapshot.release.reason), LONGEST))
    verdict = snapshot.checkpoint.verdict
    text = Text.assemble((f"{verdict.decision.value}: ", "bold"), cut(visible(verdict.reason), LONGEST))
    for one in verdict.evidence:
        if not one.interval and one.finding in (Finding.FAIL, Finding.WARN):
            text.append(f"\n{one.finding.value}: ", COLOUR[one.finding]).append(cut(visible(one.reason), LONGEST))
    return text
