"""`up`, `down`, `doctor`: the platform on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfcanary.cli import options
from tfcanary.cli.looks import EXIT, reasons, show
from tfcanary.errors import Refused
from tfcanary.platforms import local
from tfcanary.platforms.local.doctor import examine
from tfcanary.platforms.local.folder import Folder


def folder_of(platform_uri: str) -> Path:
    """The state folder of a local platform; raises Refused for another one."""
    if not platform_uri.startswith("local:///"):
        raise Refused(f"--platform {platform_uri}: this verb is for local:///<state folder> only")
    return Path(platform_uri.removeprefix("local://"))


@click.command()
@options.platform
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Where the first model's proxy listens; further models take the next free ports."
)
def up(platform_uri: str, port: int | None) -> None:
    """Start the local platform: a supervisor whose servers and proxy end with it.

    \b
    Example:  tfcanary up --port 8600
    """
    local.up(folder_of(platform_uri), port)
    click.echo(f"the local platform is up: {platform_uri}", err=True)


@click.command()
@options.platform
def down(platform_uri: str) -> None:
    """Stop the local platform; models and records stay."""
    local.down(folder_of(platform_uri))
    click.echo(f"the local platform is down: {platform_uri}", err=True)


@click.command()
@options.platform
@options.as_json
def doctor(platform_uri: str, json_: bool) -> None:
    """Check whether this machine is ready for the local platform, and say what to do where it is not. Exit 0 ready, 1 not.

    
    Example:  tfcanary doctor
    """
    found = examine(Folder(folder_of(platform_uri)))
    if json_:
        options.print_json({"finding": found.finding, "reasons": reasons(found), "checks": found.evidence})
    else:
        show(found, platform_uri)
    sys.exit(EXIT[found.finding])
