"""The verb `pull`: the init container of a model server's pod copies its version from a bucket that the server cannot read."""

from __future__ import annotations

from pathlib import Path

import click

from tfcanary.adapters.storage.download import pull_version


@click.command(hidden=True)
@click.argument("version")
@click.option("--digest", required=True, help="The digest of the version that was validated, `sha256:` and 64 digits.")
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The folder that gets a folder of the version's number.")
def pull(version: str, digest: str, into: Path) -> None:
    """Copy VERSION, the URI of a folder that is called by its number, and compare it with its digest.

    Exit 0 copied, 2 other bytes or not readable, 3 the bucket does not answer.
    """
    found = pull_version(version, digest, into)
    click.echo(f"{version}: {len(found.files)} files with the digest {digest} are in {into}")
