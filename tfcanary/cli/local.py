"""The verbs `up` and `down`: start and stop the platform on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    folder = state_folder(platform_uri)
    local.up(folder, port)
    running = local.status(folder)
    addresses = {model: _addresses(state["address"]) for model, state in running["models"].items()}
    options.print_result("up", f"the local platform is up: {platform_uri}", json_, addresses=addresses)
    for line in () if json_ else _first_address(running) or model_lines(running):
        click.echo(line, err=True)


def model_lines(running: Mapping[str, Any]) -> Iterator[str]:
    """Yield, for each model of `local.status`, the addresses for requests and the versions that are served."""
    for model, state in running["models"].items():
        versions = ", ".join(f"{track} v{number}" for track, number in state["tracks"].items())
        yield f"{model}: {_in_words(state['address'])} ({versions or 'nothing is served'})"


def _first_address(running: Mapping[str, Any]) -> tuple[str, ...]:
    """The line for a platform without any model; none where it has one."""
    if running["models"] or not running["up"]:
        return ()
    address = f"http://127.0.0.1:{running['port']}"
    return (f"the first model that is released here: {_in_words(address)}",)


def _addresses(address: str) -> dict[str, str]:
    """The addresses of a proxy, which takes REST and gRPC at one port: a URL, and `host:port` as gRPC clients want it."""
    return {"rest": address, "grpc": address.removeprefix("http://")}


def _in_words(address: str) -> str:
    both = _addresses(address)
    return f"REST {both['rest']}, gRPC {both['grpc']}"


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
