"""`upload`: the pipelines in Kubeflow's own pages, for people who start releases there."""

from __future__ import annotations

from dataclasses import asdict

import click

from tfcanary import __version__
from tfcanary.cli import options
from tfcanary.core.errors import Refused


@click.command(short_help="Put the pipelines into Kubeflow's pages.")
@options.host
@options.host_auth
@options.image
@click.option("--version-name", default=__version__, show_default=True, metavar="NAME", help="The name of the new versions.")
@options.as_json
def upload(host: str, host_auth: str, image: str, version_name: str, json_: bool) -> None:
    """Upload the pipelines canary_release and abort_release to --host, with their descriptions, for releases from Kubeflow's own pages.

    A pipeline that the host has already gets a new version; a version that it has already stays as it is. Exit 0 both are there,
    2 bad input, 3 could not reach the host.

    \b
    Example:  tfcanary upload --host https://kubeflow.example/pipeline --image example/tfcanary:0.1.0
    """
    from tfcanary.run.submit.host_auth import read_auth
    from tfcanary.run.submit.publication import upload as upload_pipelines

    if not host:
        raise Refused("--host: is missing; name the Kubeflow Pipelines endpoint to upload to")
    published = upload_pipelines(host, read_auth(host_auth), image, version_name)
    lines = [f"{one.pipeline}: version {one.version} {'was uploaded' if one.uploaded else 'is there already'}" for one in published]
    if json_:
        options.print_json({"decision": "uploaded", "reasons": lines, "pipelines": [asdict(one) for one in published]})
        return
    for line in lines:
        click.echo(line)
