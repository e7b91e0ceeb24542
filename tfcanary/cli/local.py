"""`up`, `down`: the platform on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from tfcanary.adapters import local
from tfcanary.cli import options
from tfcanary.core.errors import Refused


def folder_of(platform_uri: str) -> Path:
    """The state folder of a local platform; raises Refused for another one."""
    if not platform_uri.startswith("local:///"):
        raise Refused(f"--platform {platform_uri}: this verb is for local:///<state folder> only")
    return Path(platform_uri.removeprefix("local://"))


@click.command(short_help="Start the local platform.")
@options.platform
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Where the first model's proxy listens; further models take the next free ports."
)
@options.as_json
def up(platform_uri: str, port: int | None, json_: bool) -> None:
    """Start the local platform: a supervisor whose servers and proxy end with it.

    Exit 0 it is up, 2 it cannot be on this machine, 3 it did not come up.

    \b
    Example:  tfcanary up --port 8600
    """
    local.up(folder_of(platform_uri), port)
    options.said("up", f"the local platform is up: {platform_uri}", json_)


@click.command(short_help="Stop the local platform; models and records stay.")
@options.platform
@options.as_json
def down(platform_uri: str, json_: bool) -> None:
    """Stop the local platform; models and records stay.

    Exit 0 it is down, also where it never was up; 2 bad input, 3 it does not end.

    \b
    Example:  tfcanary down
    """
    local.down(folder_of(platform_uri))
    options.said("down", f"the local platform is down: {platform_uri}", json_)
