"""The verb `metrics`: exports the metrics of all releases, for a platform whose guards do not export them."""

from __future__ import annotations

from threading import Event

import click

from tfcanary.cli import options
from tfcanary.core.errors import Refused
from tfcanary.run import monitor


@click.command(short_help="Print or serve the releases' metrics for Prometheus.")
@options.platform
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Serve on this port until Ctrl-C. Default: print the metrics once.")
@click.option(
    "--host-address",
    "address",
    default=monitor.HERE[0],
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on, with --port.",
)
def metrics(platform_uri: str, port: int, address: str) -> None:
    """Print or serve the metrics of every model of a platform. Exit 0, or 2 bad input.

    \b
    Example:  tfcanary metrics --port 9464
    """
    exporter = monitor.models_exporter(platform_uri)
    if not port:
        click.echo(monitor.page(exporter), nl=False)
        return
    server = monitor.serve(port, exporter, (address,))
    if server is None:
        raise Refused(f"--port {port}: cannot be bound at {address}; name a free port")
    click.echo(f"metrics of {platform_uri}: http://{address}:{server.port}/metrics", err=True)
    try:
        Event().wait()
    finally:
        server.close()
