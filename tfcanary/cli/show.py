"""`status`, `history`, `report`: what the record knows; no pipeline is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfcanary import adapters, report
from tfcanary.act import ledger
from tfcanary.adapters import local
from tfcanary.cli import options
from tfcanary.cli.local import folder_of
from tfcanary.cli.release import UNDECIDED, said
from tfcanary.core import codec
from tfcanary.core.errors import Refused, TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.core.record import Record
from tfcanary.report.plots.text import cut, visible
from tfcanary.run import steps
from tfcanary.run.submit import progress
from tfcanary.run.submit.pages import ReleaseReport
from tfcanary.run.submit.snapshots import follow_record

WHY = 120
"""Characters of a reason in a table."""


def record_of(platform_uri: str, name: str, waiting: bool = False) -> Record:
    """The model's record; raises Refused where nothing was ever released under the name, nor `waiting` for its release."""
    record = ledger.read(steps.reopen_step(platform_uri, name).platform)
    if record.release is None and not (waiting and record.waiting):
        raise Refused(f"{name}: nothing was ever released under this name on {platform_uri}")
    return record


@click.command(short_help="How one release stands, or all models of the platform.")
@options.model(required=False)
@options.platform
@click.option("--watch", "watch_", is_flag=True, help="Follow the release on the road until it has ended; needs NAME.")
@options.as_json
def status(name: str | None, platform_uri: str, watch_: bool, json_: bool) -> None:
    """Show a model's release as it stands; without NAME, all models of the platform.

    Exit 0 shown, 2 bad input, 3 could not ask; with --watch as `release`.

    \b
    Example:  tfcanary status
              tfcanary status digits --watch
    """
    if watch_:
        if not name:
            raise click.UsageError("--watch follows the release of one model: name it")
        sys.exit(_watched(platform_uri, name, json_))
    if name is None:
        _all(platform_uri, json_)
        return
    record = record_of(platform_uri, name, waiting=True)
    if json_:
        options.print_json({**_standing(record), **codec.encode(record)})
        return
    stable = f"version {record.stable.number}" if record.stable else "none"
    kept = f"; kept: {', '.join(str(v.number) for v in record.previous)}" if record.previous else ""
    click.echo(f"{name}: stable {stable}{kept}")
    if record.release:
        click.echo(report.release_line(record.release))
    for one in record.waiting:
        click.echo(f"waits for the road: {one.model_uri}")


def _standing(record: Record) -> dict[str, Any]:
    release = record.release
    return {"decision": release.state.value if release else "none", "reasons": [release.reason] if release and release.reason else []}


def _watched(platform_uri: str, name: str, json_: bool) -> int:
    platform = steps.reopen_step(platform_uri, name).platform
    record_of(platform_uri, name)
    try:
        return said(progress.show(follow_record(platform), platform.clock), json_)
    except KeyboardInterrupt:
        click.echo("no longer watching; the release goes on", err=True)
        return UNDECIDED


def _all(platform_uri: str, json_: bool) -> None:
    """Every model with a record; one that cannot be read is told, and hides no other."""
    running = local.status(folder_of(platform_uri)) if platform_uri.startswith("local:///") else None
    found: dict[str, Record] = {}
    unread: dict[str, str] = {}
    for model in adapters.models(platform_uri):
        try:
            found[model] = ledger.read(adapters.open_platform(platform_uri, model, Plan()))
        except TfcanaryError as error:
            unread[model] = str(error)
    if json_:
        models = {model: {**_standing(record), **codec.encode(record)} for model, record in found.items()}
        shown = {"decision": "status", "reasons": list(unread.values()), "models": models, "unread": unread}
        options.print_json({**shown, **({"platform": running} if running else {})})
        return
    table = Table("model", "stable", "release", "weight", "since", "why", title=platform_uri)
    for model, record in found.items():
        table.add_row(escape(model), *_row(record))
    for model, why in unread.items():
        table.add_row(escape(model), "", "[magenta]unknown[/]", "", "", escape(why))
    Console().print(table if found or unread else f"{platform_uri}: no model was released here yet")
    for line in _runs(running) if running else ():
        click.echo(line)


def _runs(running: Mapping[str, Any]) -> Iterator[str]:
    """What is up on this machine, and where requests go."""
    if not running["up"]:
        yield "the local platform is down: `tfcanary up` starts it"
    for model, shown in running["models"].items():
        versions = ", ".join(f"{track} v{number}" for track, number in shown["tracks"].items())
        yield f"{model}: {shown['address']} ({versions or 'nothing is served'})"


def _row(record: Record) -> tuple[str, ...]:
    stable, release = str(record.stable.number) if record.stable else "none", record.release
    if release is None:
        return stable, "", "", "", ""
    version = f"v{release.candidate.number} " if release.candidate else ""
    at = release.ended or release.stage_began or release.began
    return stable, f"{version}{release.state.value}", f"{release.weight} %", f"{at:%Y-%m-%d %H:%M}", escape(cut(release.reason, WHY))


@click.command(short_help="The releases of a model that have ended.")
@options.model()
@options.platform
@options.as_json
def history(name: str, platform_uri: str, json_: bool) -> None:
    """List the releases of a model that have ended, oldest first.

    Exit 0 listed, 2 bad input, 3 could not ask.

    \b
    Example:  tfcanary history digits
    """
    record = record_of(platform_uri, name)
    if json_:
        options.print_json({"decision": "history", "reasons": [], "history": codec.encode(record.history)})
        return
    table = Table("began", "version", "ended as", "why", title=f"releases of {name}")
    for line in record.history:
        table.add_row(f"{line.began:%Y-%m-%d %H:%M}", str(line.version), line.state.value, escape(visible(line.reason)))
    Console().print(table)


@click.command("report", short_help="The report of the present or last release.")
@options.model()
@options.platform
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the page here; default: Markdown on stdout.")
@options.as_json
def report_(name: str, platform_uri: str, html: Path | None, json_: bool) -> None:
    """Write the report of a model's present or last release.

    Exit 0 written, 2 bad input, 3 could not ask.

    \b
    Example:  tfcanary report digits --html release.html
    """
    step = steps.reopen_step(platform_uri, name)
    record = record_of(platform_uri, name)
    page = ReleaseReport(record, steps.read_timeline(step), steps.release_signatures(step))
    if html:
        click.echo(f"report written to {page.save(html)}", err=True)
    if json_:
        options.print_json({**_standing(record), "report": page.markdown})
    elif html is None:
        click.echo(page.markdown)
