"""The verbs `status`, `history` and `report`: they read the record, and need no pipeline."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfcanary import adapters, report
from tfcanary.act import ledger, restore
from tfcanary.adapters import local
from tfcanary.cli import options, outputs
from tfcanary.cli.local import model_lines, state_folder
from tfcanary.cli.release import UNDECIDED, print_end
from tfcanary.core import codec
from tfcanary.core.errors import Refused, TfcanaryError
from tfcanary.core.record import Record, Release
from tfcanary.report.numbers import plain
from tfcanary.report.of_history import ended_releases, history_page
from tfcanary.report.plots.text import cut, visible
from tfcanary.report.wording import ended_name, ended_reason
from tfcanary.run import steps
from tfcanary.run.submit import progress
from tfcanary.run.submit.pages import ReleaseReport
from tfcanary.run.submit.snapshots import follow_record, read_snapshot

REASON = 120
"""The largest number of characters of a reason in a table."""


def record_of(platform_uri: str, name: str, waiting: bool = False) -> Record:
    """Return the model's record; raises Refused where the name has no release, nor, with `waiting`, a candidate that waits."""
    record = ledger.read(steps.reopen_step(platform_uri, name).platform)
    if record.release is None and not (waiting and record.waiting):
        near = get_close_matches(name, options.recorded_models(platform_uri), n=1)
        hint = f"; did you mean {near[0]!r}?" if near and near[0] != name else ""
        raise Refused(f"{name}: nothing was ever released under this name on {platform_uri}{hint}")
    return record


@click.command(short_help="Show one release, or all models of the platform.")
@options.model(required=False)
@options.platform
@click.option("--watch", "watch_", is_flag=True, help="Follow the active release until it has ended; needs NAME.")
@options.as_json
def status(name: str | None, platform_uri: str, watch_: bool, json_: bool) -> None:
    """Show a model's active or last release; without NAME, all models of the platform.

    An active release is shown with its stages, the time left, the requests so far, and a line for each criterion.

    Exit 0 shown, 2 bad input, 3 the platform could not be reached; with --watch the codes of `release`.

    \b
    Example:  tfcanary status
              tfcanary status digits --watch
    """
    if watch_:
        if not name:
            raise click.UsageError("--watch follows the release of one model: name it")
        sys.exit(_watch(platform_uri, name, json_))
    if name is None:
        _print_all(platform_uri, json_)
        return
    record = record_of(platform_uri, name, waiting=True)
    if json_:
        options.print_json({**_decision(record), **codec.encode(record)})
        return
    stable = f"version {record.stable.number}" if record.stable else "none"
    former = f"; kept: {', '.join(str(v.number) for v in record.previous)}" if record.previous else ""
    click.echo(f"{name}: stable {stable}{former}")
    if record.release:
        click.echo(report.release_line(record.release))
        if record.active:
            _print_progress(platform_uri, name)
        else:
            _print_requests(platform_uri, name, record.release)
        _print_differences(platform_uri, name, record)
        if record.release.override:
            click.echo(f"windows overridden: {visible(record.release.override)}")
    for candidate in record.waiting:
        click.echo(f"waits for its turn: {candidate.model_uri}")


def _print_progress(platform_uri: str, name: str) -> None:
    """Print the picture of `status --watch` as it is now: stages, time left, live counts, and one line for each criterion."""
    platform = steps.reopen_step(platform_uri, name).platform
    try:
        snapshot = read_snapshot(platform)
    except TfcanaryError as error:
        click.echo(f"criteria and time left: unknown ({error})", err=True)
        return
    if snapshot:
        Console(highlight=False).print(progress.picture(snapshot, platform.clock.now()))


def _print_requests(platform_uri: str, name: str, release: Release) -> None:
    """Print how many requests reached the canary in all stages. It is a line of its own, because a bucket that is away takes its time."""
    if release.first_traffic is None:
        return
    try:
        last = steps.read_checkpoint(steps.reopen_step(platform_uri, name))
    except TfcanaryError as error:
        click.echo(f"canary requests: unknown ({error})", err=True)
        return
    requests = report.canary_requests(release, last.timeline if last else None)
    click.echo(f"canary requests: {'not counted' if requests is None else plain(requests)}")


def _print_differences(platform_uri: str, name: str, record: Record) -> None:
    """Print what of the world is not as the record says, and what puts it right."""
    try:
        found = restore.differences(steps.reopen_step(platform_uri, name).platform, record)
    except TfcanaryError as error:
        click.echo(f"whether the world is as the record says is unknown ({error})", err=True)
        return
    for difference in found:
        click.echo(f"not as recorded: {difference}")
    if found and record.active is None:
        click.echo(f"to put it right: tfcanary repair {name}")


def _decision(record: Record) -> dict[str, Any]:
    release = record.release
    return {"decision": release.state.value if release else "none", "reasons": [release.reason] if release and release.reason else []}


def _watch(platform_uri: str, name: str, json_: bool) -> int:
    platform = steps.reopen_step(platform_uri, name).platform
    record_of(platform_uri, name)
    try:
        return print_end(progress.show(follow_record(platform), platform.clock), json_)
    except KeyboardInterrupt:
        click.echo("no longer watching; the release continues", err=True)
        return UNDECIDED


def _print_all(platform_uri: str, json_: bool) -> None:
    """Print every model that has a record; a record that cannot be read is named and does not hide the others."""
    running = local.status(state_folder(platform_uri)) if platform_uri.startswith("local:///") else None
    found = adapters.records(platform_uri)
    records = {model: one for model, one in found.items() if isinstance(one, Record)}
    unread = {model: str(one) for model, one in found.items() if isinstance(one, TfcanaryError)}
    if json_:
        models = {model: {**_decision(record), **codec.encode(record)} for model, record in records.items()}
        answer = {"decision": "status", "reasons": list(unread.values()), "models": models, "unread": unread}
        options.print_json({**answer, **({"platform": running} if running else {})})
        return
    table = Table("model", "stable", "release", "weight", "since (UTC)", "reason", title=platform_uri)
    for model, record in records.items():
        table.add_row(escape(model), *_row(record))
    for model, problem in unread.items():
        table.add_row(escape(model), "", "[orange1]unknown[/]", "", "", escape(problem))
    Console().print(table if records or unread else f"{platform_uri}: no model was released here yet")
    if running and not running["up"]:
        click.echo("the local platform is down: `tfcanary up` starts it")
    for line in model_lines(running) if running else ():
        click.echo(line)


def _row(record: Record) -> tuple[str, ...]:
    stable, release = str(record.stable.number) if record.stable else "none", record.release
    if release is None:
        return stable, "", "", "", ""
    version = f"v{release.candidate.number} " if release.candidate else ""
    at = release.ended or release.stage_began or release.began
    return stable, f"{version}{release.state.value}", f"{release.weight} %", _minute(at), escape(cut(release.reason, REASON))


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


@click.command(short_help="List the releases of a model that have ended.")
@options.model()
@options.platform
@outputs.page_option("Write the list as a page into this file.")
@options.as_json
def history(name: str, platform_uri: str, html: Path | None, json_: bool) -> None:
    """List the releases of a model that have ended, the oldest first; the page has the newest first.

    Exit 0 listed, 2 bad input, 3 the platform could not be reached.

    \b
    Example:  tfcanary history digits
              tfcanary history digits --html history.html
    """
    record = record_of(platform_uri, name)
    oldest_first = ended_releases(record)[::-1]
    if html:
        outputs.write_page(html, history_page(record))
    if json_:
        options.print_json({"decision": "history", "reasons": [], "history": codec.encode(oldest_first)})
    elif html is None:
        table = Table("began (UTC)", "candidate", "state", "reason", title=f"releases of {name}")
        for ended in oldest_first:
            table.add_row(_minute(ended.began), escape(visible(ended_name(ended))), ended.state.value, escape(visible(ended_reason(ended))))
        Console().print(table)


@click.command("report", short_help="Write the report of the active or last release.")
@options.model()
@options.platform
@outputs.page_option("Write the report as a page into this file. Default: Markdown on stdout.")
@options.as_json
def report_verb(name: str, platform_uri: str, html: Path | None, json_: bool) -> None:
    """Write the report of a model's active or last release.

    Exit 0 written, 2 bad input, 3 the platform could not be reached.

    \b
    Example:  tfcanary report digits --html release.html
    """
    step = steps.reopen_step(platform_uri, name)
    record = record_of(platform_uri, name)
    page = ReleaseReport(record, steps.read_timeline(step), steps.release_signatures(step))
    if html:
        with outputs.writing(html):
            click.echo(f"report written to {page.save(html)}", err=True)
    if json_:
        options.print_json({**_decision(record), "report": page.markdown})
    elif html is None:
        click.echo(page.markdown)
