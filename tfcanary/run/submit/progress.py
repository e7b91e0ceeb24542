"""Live progress of a release: a picture in a notebook or a terminal, log lines elsewhere. Reads the record and the last poll only."""

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

from tfcanary.core.domain import Evidence, Finding, Verdict
from tfcanary.core.ports import Clock
from tfcanary.core.record import Release, State
from tfcanary.report.numbers import RATIO, duration, plain, share, writer
from tfcanary.report.plots.text import cut, visible
from tfcanary.run.submit import time_left
from tfcanary.run.submit.handle import Handle, Snapshot

COLOUR = {Finding.PASS: "green", Finding.WARN: "yellow", Finding.FAIL: "red", Finding.INCONCLUSIVE: "orange1"}
WIDTH = 110
"""Columns of the picture in a notebook, which has no terminal to ask."""
BAR = 20
"""Characters."""
LONGEST = 240
"""Characters of a sentence: three lines of 80 columns."""
SPENT = "alpha spent"
"""The figure of an evidence: its part of the plan's alpha."""
AGAINST = "e-value for rollback"
"""The figure that times its part of alpha is its part of what convicts: all parts together convict at 1."""


def follow(handle: Handle) -> Snapshot:
    """Show the release until its pipeline has ended; returns how it ended."""
    return shown(handle.follow(), handle.platform.clock)


def shown(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    """Show each as it comes; returns the last."""
    if _kernel():
        return _displayed(snapshots, clock)
    return _live(snapshots, clock) if sys.stderr.isatty() else _lines(snapshots, clock)


def _kernel() -> bool:
    """Whether a notebook's kernel runs this: it can change what it has displayed."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def _displayed(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    display = importlib.import_module("IPython.display").display
    place, last = display({"text/plain": "the release has not begun yet"}, raw=True, display_id=True), None
    for seen in snapshots:
        if (shown := in_notebook(seen, clock.now())) != last:
            place.update(shown, raw=True)
            last = shown
    return seen


def in_notebook(seen: Snapshot, now: datetime) -> dict[str, Any]:
    """The picture by media type; what a model or a label says is escaped in it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_jupyter=False, color_system="standard", force_terminal=True)
    console.print(picture(seen, now))
    html = console.export_html(inline_styles=True, clear=False, code_format='<pre style="line-height: normal">{code}</pre>')
    return {"text/html": html, "text/plain": console.export_text()}


def _live(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    with Live(console=Console(stderr=True, highlight=False), refresh_per_second=4, transient=True) as live:
        for seen in snapshots:
            live.update(picture(seen, clock.now()))
    return seen


def _lines(snapshots: Iterable[Snapshot], clock: Clock) -> Snapshot:
    told, stage = 0, -1
    for seen in snapshots:
        release, model = seen.release, seen.record.model
        for event in release.events[told:]:
            _say(f"{event.at:%H:%M:%S} UTC {model} at {event.weight} %: {visible(event.what)}")
        told = len(release.events)
        if release.stage > stage and (left := time_left.left(release, seen.timeline, clock.now())):
            _say(f"{clock.now():%H:%M:%S} UTC {model} at {release.weight} %: stage {release.stage} ends: {time_left.bounds(left)}")
            stage = release.stage
    return seen


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def picture(seen: Snapshot, now: datetime) -> Group:
    """Where the release stands: what it is doing, its gates and stages, the time left, requests, one line a criterion."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (*_times(seen, now), *_counted(seen)):
        facts.add_row(name, value)
    return Group(_head(seen, now), _gates(seen.release), _stages(seen.release, now), facts, _criteria(seen), _says(seen))


def _head(seen: Snapshot, now: datetime) -> Text:
    release = seen.release
    number = f" v{release.candidate.number}" if release.candidate else ""
    state = Text.assemble((f"{seen.record.model}{number}  ", "bold"), (_doing(release), "bold cyan"))
    return state.append(f"  for {duration(max(round((now - release.began).total_seconds()), 0))}", "dim")


def _doing(release: Release) -> str:
    if release.state is State.OPEN:
        return "is being checked and deployed; it has no traffic"
    if release.state is not State.WATCHED:
        return release.state.value
    if release.pause:
        return f"{'waits for a person to approve it' if release.pause.approval else 'is paused'} at {release.weight} %, and watched"
    if release.holder and release.holder.watching:
        return f"is being watched at {release.weight} %"
    return f"is between two steps at {release.weight} %{', watched by its guard' if release.weight else ''}"


def _gates(release: Release) -> Text:
    line = Text("")
    for name, look in release.looks.items():
        line.append(f"{name} ", "dim").append(f"{look.finding.value}  ", COLOUR[look.finding])
    return line


def _stages(release: Release, now: datetime) -> Table:
    table = Table.grid(padding=(0, 2))
    done = {verdict.stage: verdict for verdict in release.watched}
    for number, weight in enumerate(release.plan.weights):
        part = 1.0 if number in done else _part(release, number, now)
        colour = "cyan" if number not in done else "red" if done[number].decision.value == "rollback" else "green"
        bar = Text("━" * round(BAR * part), colour).append("━" * (BAR - round(BAR * part)), "bright_black")
        said = done[number].decision.value if number in done else f"{share(part)} of its least time" if part else ""
        table.add_row(f"stage {number}", f"{weight:>3} %", bar, Text(said, "dim"))
    return table


def _part(release: Release, number: int, now: datetime) -> float:
    """Of a stage's minimum time."""
    if release.stage != number or release.stage_began is None:
        return 0.0
    return round(min(max((now - release.stage_began) / release.plan.stage.minimum, 0.0), 1.0), 2)


def _times(seen: Snapshot, now: datetime) -> Iterable[tuple[str, str]]:
    left = time_left.left(seen.release, seen.timeline, now)
    if left is None:
        return
    yield "stage ends", time_left.bounds(left)
    if said := time_left.forecast(left):
        yield "promotion", said


def _counted(seen: Snapshot) -> Iterable[tuple[str, str]]:
    points = seen.timeline.points if seen.timeline else ()
    if not points:
        return
    stable, canary = points[-1].stable_requests, points[-1].canary_requests
    own = f" ({share(canary / (stable + canary))} of all so far)" if stable + canary else ""
    yield "requests", f"stable {plain(stable)}, canary {plain(canary)}{own}"
    parts = [one for one in seen.seen.verdict.evidence if SPENT in one.figures] if seen.seen else []
    if parts:
        judge = seen.release.plan.judge
        spent = sum(float(one.figures[SPENT]) for one in parts if one.gating)
        against = sum(float(one.figures[SPENT]) * float(one.figures[AGAINST]) for one in parts if one.gating)
        yield "alpha spent", f"{plain(spent)} of {plain(judge.alpha)}, by {len(parts)} criteria"
        yield "against it", f"{share(min(against, 1.0))} of the evidence that rolls back"


def _criteria(seen: Snapshot) -> Table:
    """One line each, in 80 columns."""
    measured = [one for one in seen.seen.verdict.evidence if one.interval] if seen.seen else []
    titles = ("criterion", "finding", "estimate", "interval", "limit")
    table = Table(*titles, box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(measured))
    for one in measured:
        table.add_row(_name(one), f"[{COLOUR[one.finding]}]{one.finding.value}[/]", *_numbers(one))
    return table


def _name(one: Evidence) -> str:
    return escape(cut(one.about.removeprefix("metrics/"), 24))


def _numbers(one: Evidence) -> tuple[str, str, str]:
    assert one.interval is not None
    times, write = "×" if one.unit == RATIO else "", writer(one.unit)
    limit = one.margin if one.margin is not None else one.tolerance
    interval = f"{write(one.interval.low)} to {write(one.interval.high)}{times}"
    return f"{write(one.interval.estimate)}{times}", interval, f"{write(limit)}{times}" if limit is not None else ""


def _says(seen: Snapshot) -> Text:
    """The judge's last word, and what does not pass without being measured."""
    verdict: Verdict | None = seen.seen.verdict if seen.seen else None
    if verdict is None or seen.release.state is not State.WATCHED:
        return Text(cut(visible(seen.release.reason), LONGEST))
    loud = [one for one in verdict.evidence if not one.interval and one.finding in (Finding.FAIL, Finding.WARN)]
    text = Text.assemble((f"{verdict.decision.value}: ", "bold"), cut(visible(verdict.reason), LONGEST))
    for one in loud:
        text.append(f"\n{one.finding.value}: ", COLOUR[one.finding]).append(cut(visible(one.reason), LONGEST))
    return text
