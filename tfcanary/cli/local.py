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

    Exit 0 it is up, 2 it cannot run on this machine, 3 it did not start.

    \b
    Example:  tfcanary up --port 8600
    """
    local.up(state_folder(platform_uri), port)
    options.print_result("up", f"the local platform is up: {platform_uri}", json_)


@click.command(short_help="Stop the local platform, and keep models and records.")
@options.platform
@options.as_json
def down(platform_uri: str, json_: bool) -> None:
    """Stop the local platform, and keep models and records.

    Exit 0 it is down, also where it was not up; 2 bad input, 3 it does not end.

    \b
    Example:  tfcanary down
    """
    local.down(state_folder(platform_uri))
    options.print_result("down", f"the local platform is down: {platform_uri}", json_)
