"""`release`: a release from the terminal, with live progress."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfcanary import report
from tfcanary.cli import options
from tfcanary.core.record import Release, State
from tfcanary.run.submit import progress
from tfcanary.run.submit.handle import Handle
from tfcanary.run.submit.handle import release as submit_release
from tfcanary.run.submit.snapshots import Snapshot

YES, NO, UNDECIDED = 0, 1, 3


@click.command(short_help="Release a model as a canary, with live progress.")
@click.argument("model")
@options.name(required=True, text="The name under which TensorFlow Serving serves the model.")
@options.plan(required=True)
@options.platform
@options.host
@options.host_ui
@options.host_auth
@options.image
@options.service_account
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the report's page here.")
@options.as_json
def release(
    model: str,
    name: str,
    plan_file: Path,
    platform_uri: str,
    host: str,
    host_ui: str,
    host_auth: str,
    image: str,
    service_account: str,
    html: Path | None,
    json_: bool,
) -> None:
    """Release MODEL (a directory or gs:// URI) as a canary.

    Ctrl-C rolls a local release back; from a remote one it detaches and prints the command that aborts it. Exit 0
    promoted, 1 refused or rolled back, 2 bad input, 3 undecided, unreachable, or another release holds the model.

    \b
    Example:  tfcanary release exports/v2 --name digits --plan plan.yaml
    """
    handle = submit_release(model, name, options.read_plan(plan_file), platform_uri, host, image, service_account, host_ui, host_auth)
    try:
        click.echo(f"pipeline: {handle.run.describe()}", err=True)
        seen = progress.show(handle.follow(), handle.platform.clock)
    except KeyboardInterrupt:
        _interrupted(handle, name, platform_uri)
        sys.exit(UNDECIDED)
    if handle.has_failed():
        click.echo(f"a step of the pipeline failed: see {handle.run.describe()}", err=True)
    if html:
        click.echo(f"report: {handle.report.save(html)}", err=True)
    sys.exit(said(seen, json_))


def _interrupted(handle: Handle, name: str, platform_uri: str) -> None:
    """Local: traffic first, then the pipeline. Remote: it goes on without this terminal."""
    if handle.remote:
        click.echo(f"detached; the release goes on. To stop it: tfcanary abort {name} --platform {platform_uri}", err=True)
        return
    click.echo("interrupted: rolling back", err=True)
    ended = handle.abort("aborted: interrupted in the terminal")
    click.echo(report.release_line(ended) if ended else "nothing had begun", err=True)


def said(seen: Snapshot, json_: bool) -> int:
    """How a release ended, on stdout; returns the exit code."""
    ended = seen.release
    if json_:
        options.print_json({"decision": ended.state, "reasons": [ended.reason], "version": ended.candidate and ended.candidate.number})
    else:
        click.echo(report.release_line(ended))
    return exit_code(ended)


def exit_code(ended: Release) -> int:
    """0 promoted, 1 something was found bad, 3 nobody could tell."""
    if ended.state is State.PROMOTED:
        return YES
    return NO if ended.failed else UNDECIDED
