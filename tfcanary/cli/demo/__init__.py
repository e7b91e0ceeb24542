"""`demo`: four releases of a digit classifier on this machine: one is promoted, one rolled back, two are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tfcanary.cli import options

FOLDER = Path(".tfcanary") / "demo"
"""The demo's own state folder, below the working directory, where none is named."""


@click.command(short_help="Try it: four releases on this machine, in a few minutes.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    metavar="FOLDER",
    help="Where the demo's platform, models and pages lie; what an earlier demo left there is removed.",
)
@options.as_json
def demo(folder: Path, json_: bool) -> None:
    """Train five small models, make the first one stable, and release the other four while users send requests.

    One must be promoted, one rolled back, and two refused; each leaves a page in the folder. It needs Linux, two cores,
    about five minutes (more where it is busy), and `pip install 'tfcanary[local]'`; it uses no network and no cluster.

    Exit 0 each release ended as it should, 1 one did not, or a request of a user failed because of tfcanary, 2 bad input
    or something is not installed, 3 interrupted, or the local platform did not come up.

    \b
    Example:  tfcanary demo
    """
    from tfcanary.cli.demo.four_releases import run_demo

    result = run_demo(folder.absolute(), say=lambda line: click.echo(line, err=json_))
    if json_:
        options.print_json(result)
    sys.exit(0 if result["finding"] == "pass" else 1)
