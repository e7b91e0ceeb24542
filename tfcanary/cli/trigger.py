"""The verb `trigger`: starts a release for each new version, on events or by looking into a folder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from tfcanary.cli import options
from tfcanary.core import codec
from tfcanary.core.durations import written

LONGEST = timedelta(days=1)
"""The longest time between two looks into a folder."""


def duration(_: click.Context, param: click.Parameter, value: str) -> timedelta:
    """Decode a time such as `30s`, `5m` or `1h`, as in a plan."""
    decoded: timedelta = codec.decode(timedelta, value, f"--{param.name}")
    return decoded


@click.group(short_help="Start a release for each new version.")
def trigger() -> None:
    """Start a release for each new version, on events or from a folder. Exit 0 when it was stopped, 2 bad input.

    \b
    Example:  tfcanary trigger serve --settings trigger.yaml
    """


@trigger.command()
@click.option(
    "--settings",
    "settings_file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The settings, as docs/triggers.md describes them.",
)
@click.option("--host-address", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The port to listen on; 0: any free port.")
def serve(settings_file: Path, host_address: str, port: int) -> None:
    """Receive events of new versions and release them, one at a time. Exit 0 after SIGTERM, 2 bad input.

    \b
    Example:  tfcanary trigger serve --settings trigger.yaml
    """
    from tfcanary.run.trigger import serving, settings

    server = serving.set_up(settings.read(settings_file), host_address, port)
    click.echo(f"listening on {host_address}:{server.port}", err=True)
    server.run()


@trigger.command()
@click.argument("uri")
@options.name(required=True, text="The name under which TensorFlow Serving serves the model.")
@options.plan(required=True)
@options.platform
@options.host
@options.host_ui
@options.host_auth
@options.image
@options.service_account
@click.option("--every", callback=duration, metavar="TIME", default="30s", show_default=True, help="The time between two looks.")
@click.option(
    "--complete",
    default="",
    metavar="NAME",
    help="The name of the object that is written last. Default: a version is complete when it has not changed for --settle.",
)
@click.option(
    "--settle",
    callback=duration,
    metavar="TIME",
    default="60s",
    show_default=True,
    help="How long a version must be unchanged, where --complete is not given.",
)
@click.option("--existing", is_flag=True, help="At the first start, release the newest version that is in the folder already.")
def watch(
    uri: str,
    name: str,
    plan_file: Path,
    platform_uri: str,
    host: str,
    host_ui: str,
    host_auth: str,
    image: str,
    service_account: str,
    every: timedelta,
    complete: str,
    settle: timedelta,
    existing: bool,
) -> None:
    """Look into URI (a directory or gs://bucket/folder) for complete new versions, and release them one at a time.

    Exit 0 when it was stopped, 2 bad input, 3 when it had to end by itself.

    \b
    Example:  tfcanary trigger watch gs://exports/digits --name digits --plan plan.yaml
    """
    from tfcanary.run import steps
    from tfcanary.run.submit.host_auth import read_auth
    from tfcanary.run.trigger import watching
    from tfcanary.run.trigger.settings import Source, Target
    from tfcanary.run.trigger.versions import Completeness

    if not timedelta(seconds=1) <= every <= LONGEST:
        raise click.UsageError(f"--every {written(every)}: must be from 1s to 1d")
    try:
        source = Source(steps.candidate_uri(uri), options.read_plan(plan_file), complete=complete, settle=settle)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    folder = watching.Folder(source.exports, source.resolved_plan, Completeness(source.complete, source.settle), existing)
    target = Target(platform_uri, host, host_ui, read_auth(host_auth), image, service_account)
    watching.watch(folder, name, target, every.total_seconds())
