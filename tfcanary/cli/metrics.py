"""`metrics`: what Prometheus sees of the releases, for a platform whose guards do not export it themselves."""

from __future__ import annotations

from threading import Event

import click

from tfcanary.cli import options
from tfcanary.core.errors import Refused
from tfcanary.run import monitor


@click.command(short_help="What Prometheus sees of the releases.")
@options.platform
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Serve here until Ctrl-C; default: one page on stdout.")
@click.option(
    "--host-address", "address", default=monitor.HERE[0], show_default=True, metavar="ADDRESS", help="With --port: where to listen."
)
def metrics(platform_uri: str, port: int, address: str) -> None:
    """Show or serve the metrics of every model of a platform. Exit 0, or 2 bad input.

    \b
    Example:  tfcanary metrics --port 9464
    """
    exporter = monitor.models_exporter(platform_uri)
    if not port:
        click.echo(monitor.page(exporter), nl=False)
        return
    served = monitor.serve(port, exporter, (address,))
    if served is None:
        raise Refused(f"--port {port}: cannot be bound at {address}; name a free one")
    click.echo(f"metrics of {platform_uri}: http://{address}:{served.port}/metrics", err=True)
    try:
        Event().wait()
    finally:
        served.close()
