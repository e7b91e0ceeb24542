"""`abort`, `pause`, `resume`, `approve`, `reject`: what people say to the release of a model that is on the road."""

from __future__ import annotations

from collections.abc import Callable

import click

from tfcanary import report, steps
from tfcanary.acts import orders, rollback
from tfcanary.cli import options
from tfcanary.ports import Platform
from tfcanary.record import Release

Order = Callable[[Platform, str], Release | None]


def _reason(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--reason", default=default, show_default=True, metavar="TEXT", help="For the record.")


@click.command()
@click.argument("name")
@options.platform
@_reason("aborted by a person")
@options.as_json
def abort(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Roll back whatever release of the model is on the road; from any state, may be repeated.

    \b
    Example:  tfcanary abort digits
    """
    step = steps.reopen_step(platform_uri, name)
    _said(name, rollback.roll_back(step.platform, step.run_id, reason), json_)


@click.command()
@click.argument("name")
@options.platform
@_reason("by a person")
@options.as_json
def pause(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Keep the release at its weight: it is watched, and may be rolled back, but neither advances nor is promoted.

    \b
    Example:  tfcanary pause digits --reason "the shop has its sale"
    """
    _ordered(orders.pause, platform_uri, name, reason, json_)


@click.command()
@click.argument("name")
@options.platform
@_reason("by a person")
@options.as_json
def resume(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Let a paused release go on.

    \b
    Example:  tfcanary resume digits
    """
    _ordered(orders.resume, platform_uri, name, reason, json_)


@click.command()
@click.argument("name")
@options.platform
@_reason("by a person")
@options.as_json
def approve(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Let a stage end that went well and waits for a person, as the plan's `stage.approval` asks.

    \b
    Example:  tfcanary approve digits --reason "checked with the search team"
    """
    _ordered(orders.approve, platform_uri, name, reason, json_)


@click.command()
@click.argument("name")
@options.platform
@_reason("by a person")
@options.as_json
def reject(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Roll back a release that waits for a person's approval.

    \b
    Example:  tfcanary reject digits --reason "the tone is wrong in French"
    """
    _ordered(orders.reject, platform_uri, name, reason, json_)


def _ordered(order: Order, platform_uri: str, name: str, reason: str, json_: bool) -> None:
    _said(name, order(steps.reopen_step(platform_uri, name).platform, reason), json_)


def _said(name: str, release: Release | None, json_: bool) -> None:
    line = report.release_line(release) if release else f"{name}: nothing was ever released under this name"
    if json_:
        options.print_json({"decision": release.state if release else "none", "reasons": [line]})
    else:
        click.echo(line, err=True)
