"""`status`, `history`, `report`: what the record knows; no pipeline is asked."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tfcanary import codec, report, steps
from tfcanary.acts import ledger
from tfcanary.cli import options
from tfcanary.cli.local import folder_of
from tfcanary.errors import Refused
from tfcanary.platforms import local
from tfcanary.record import Record
from tfcanary.submit.pages import ReleaseReport


def record_of(platform_uri: str, name: str) -> Record:
    """The model's record; raises Refused where nothing was ever released under the name."""
    record = ledger.read(steps.reopen_step(platform_uri, name).platform)
    if record.release is None:
        raise Refused(f"{name}: nothing was ever released under this name on {platform_uri}")
    return record


@click.command()
@click.argument("name", required=False)
@options.platform
@options.as_json
def status(name: str | None, platform_uri: str, json_: bool) -> None:
    """Show a model's release as it stands; without NAME, what runs on the local platform.

    \b
    Example:  tfcanary status digits
    """
    if name is None:
        shown = local.status(folder_of(platform_uri))
        options.print_json(shown)
        return
    record = record_of(platform_uri, name)
    if json_:
        release = record.release
        reasons = [release.reason] if release and release.reason else []
        options.print_json({"decision": release.state.value if release else "none", "reasons": reasons, **codec.encode(record)})
        return
    stable = f"version {record.stable.number}" if record.stable else "none"
    kept = f"; kept: {', '.join(str(v.number) for v in record.previous)}" if record.previous else ""
    click.echo(f"{name}: stable {stable}{kept}")
    if record.release:
        click.echo(report.release_line(record.release))
    for one in record.waiting:
        click.echo(f"waits for the road: {one.model_uri}")


@click.command()
@click.argument("name")
@options.platform
@options.as_json
def history(name: str, platform_uri: str, json_: bool) -> None:
    """List the releases of a model that have ended, oldest first."""
    record = record_of(platform_uri, name)
    if json_:
        options.print_json({"decision": "history", "reasons": [], "history": codec.encode(record.history)})
        return
    table = Table("began", "version", "ended as", "why", title=f"releases of {name}")
    for line in record.history:
        table.add_row(f"{line.began:%Y-%m-%d %H:%M}", str(line.version), line.state.value, line.reason)
    Console().print(table)


@click.command("report")
@click.argument("name")
@options.platform
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the page here; default: Markdown on stdout.")
def report_(name: str, platform_uri: str, html: Path | None) -> None:
    """Write the report of a model's present or last release.

    \b
    Example:  tfcanary report digits --html release.html
    """
    step = steps.reopen_step(platform_uri, name)
    page = ReleaseReport(record_of(platform_uri, name), steps.timeline(step), steps.signatures(step))
    if html is None:
        click.echo(page.markdown)
        return
    click.echo(f"report written to {page.save(html)}", err=True)
