"""The verb `release`: a release from the terminal, with live progress."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfcanary import report
from tfcanary.cli import options, outputs
from tfcanary.core.errors import TfcanaryError
from tfcanary.core.plan.outlook import outlook
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
@click.option("--commit", default="", metavar="TEXT", help="The commit of the training code. Default: the plan's `commit`.")
@click.option("--training-run", default="", metavar="TEXT", help="The run that trained MODEL. Default: the plan's `training_run`.")
@click.option("--override-window", default="", metavar="REASON", help="Let weights rise outside the plan's windows; the record keeps why.")
@outputs.page_option("Write the report as a page into this file.")
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
    commit: str,
    training_run: str,
    override_window: str,
    html: Path | None,
    json_: bool,
) -> None:
    """Release MODEL (a directory, a gs:// or an s3:// URI) as a canary.

    Ctrl-C rolls back a release that this machine runs. From one that a host runs it detaches, and prints the command that
    aborts the release. Exit 0 promoted, 1 refused or rolled back, 2 bad input, 3 undecided, unreachable, or another release
    of the model is active.

    \b
    Example:  tfcanary release exports/v2 --name digits --plan plan.yaml
    """
    handle = submit_release(
        model,
        name,
        options.read_plan(plan_file),
        platform_uri,
        host,
        image,
        service_account,
        host_ui,
        host_auth,
        commit=commit,
        training_run=training_run,
        override_window=override_window,
    )
    try:
        click.echo(f"pipeline: {handle.run.describe()}", err=True)
        for sentence in outlook(handle.plan, handle.platform.clock.now()):
            click.echo(f"tfcanary: {sentence}", err=True)
        last = progress.show(handle.follow(), handle.platform.clock)
    except KeyboardInterrupt:
        _interrupt(handle, name, platform_uri, html)
        sys.exit(UNDECIDED)
    if handle.has_failed():
        click.echo(f"a step of the pipeline failed: see {handle.run.describe()}", err=True)
    if html:
        _write_report(handle, html)
    sys.exit(print_end(last, json_))


def _write_report(handle: Handle, html: Path) -> None:
    """Write the report; where that fails, print why. The exit code stays that of the release."""
    try:
        report_now = handle.report
        with outputs.writing(html):
            click.echo(f"report written to {report_now.save(html)}", err=True)
    except TfcanaryError as error:
        click.echo(f"tfcanary: the release has ended, but its report was not written: {error}", err=True)


def _interrupt(handle: Handle, name: str, platform_uri: str, html: Path | None) -> None:
    """Roll back a local release, traffic first, and write its report; a remote one continues without this terminal."""
    if handle.remote:
        click.echo(f"detached; the release continues. To stop it: tfcanary abort {name} --platform {platform_uri}", err=True)
        if html:
            click.echo(f"its report, at any time: tfcanary report {name} --platform {platform_uri} --html {html}", err=True)
        return
    click.echo("interrupted: rolling back", err=True)
    ended = handle.abort("aborted: interrupted in the terminal")
    last = handle.snapshot()
    click.echo(report.release_line(ended, last.outline if last else None) if ended else "the release had not begun", err=True)
    if html and ended:
        _write_report(handle, html)


def print_end(last: Snapshot, json_: bool) -> int:
    """Print how a release ended on stdout; returns the exit code."""
    release = last.release
    if json_:
        version = release.candidate and release.candidate.number
        options.print_json({"decision": release.state, "reasons": [release.reason], "version": version, "export": release.export})
    else:
        click.echo(report.release_line(release, last.outline))
    return exit_code(release)


def exit_code(release: Release) -> int:
    """Return 0 for a promoted release, 1 where something was found bad, 3 where the release ended undecided."""
    if release.state is State.PROMOTED:
        return YES
    return NO if release.failed else UNDECIDED
