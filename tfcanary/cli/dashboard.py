"""The verb `dashboard`: serves the live pages of a platform's models to browsers."""

from __future__ import annotations

import click

from tfcanary.cli import options


@click.command(short_help="Serve live pages of all models to browsers.")
@options.platform
@click.option("--host-address", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="The port to listen on; 0: any free port.")
def dashboard(platform_uri: str, host_address: str, port: int) -> None:
    """Serve a page of all models of the platform, and one of each model that follows its release. The pages change nothing.

    Whoever reaches the address sees them: on another address than this machine's own, say by the network who may. Exit 0 after Ctrl-C or
    SIGTERM, 2 bad input, 3 the platform could not be reached.

    \b
    Example:  tfcanary dashboard
              tfcanary dashboard --platform kube://serving --port 8601
    """
    from tfcanary.run.live import live_server

    server = live_server.set_up(platform_uri, host_address, port)
    click.echo(f"http://{f'[{host_address}]' if ':' in host_address else host_address}:{server.port}/ shows {platform_uri}", err=True)
    server.run()
