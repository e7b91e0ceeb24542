"""The verbs `up` and `down`: start and stop the platform on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from tfcanary.adapters import local
from tfcanary.cli import options
from tfcanary.core.errors import Refused


def state_folder(platform_uri: str) -> Path:
    """Return the state folder of a local platform; raises Refused for another kind of platform."""
    if not platform_uri.startswith("local:///"):
        raise Refused(f"--platform {platform_uri}: this verb is for local:///<state folder> only")
    return Path(platform_uri.removeprefix("local://"))


@click.command(short_help="Start the local platform.")
@options.platform
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The port of the first model's proxy; the proxies of further models listen on the next free ports.",
)
@options.as_json
def up(platform_uri: str, port: int | None, json_: bool) -> None:
    """Start the local platform: a supervisor process, whose model servers and proxies end when it ends.

    Returns when the users of every stable version are served. Exit 0 it is up, 2 it cannot run on this machine, 3 it did not start,
    or a stable version is not served.

    \b
    Example:  tfcanary up --port 8600
    """
    local.up(state_folder(platform_uri), port)
    options.print_result("up", f"the local platform is up: {platform_uri}", json_)


@click.command(short_help="Stop the local platform, and keep models and records.")
@options.platform
@click.option("--yes", is_flag=True, help="Stop the platform also while a release is active, without asking.")
@options.as_json
def down(platform_uri: str, yes: bool, json_: bool) -> None:
    """Stop the local platform, and keep models and records. Asks first while a release is active.

    Exit 0 it is down, also where it was not up; 2 bad input, 3 it does not end, or the question was answered with no.

    \b
    Example:  tfcanary down
    """
    folder = state_folder(platform_uri)
    active = {} if yes else local.active_releases(folder)
    for name, release in active.items():
        click.echo(f"release {release.run_id!r} of {name} is active: {release.state.value}, traffic {release.desired.traffic}", err=True)
    if active:
        # Its guard comes back with the platform, and finds a canary without traffic.
        click.confirm(
            "Nobody is served while the platform is down, and after `tfcanary up` the release is rolled back. Stop it (--yes)?",
            abort=True,
            err=True,
        )
    local.down(folder)
    options.print_result("down", f"the local platform is down: {platform_uri}", json_)
