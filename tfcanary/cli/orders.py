"""`abort`, `pause`, `resume`, `approve`, `reject`: what people say to the release of a model that is on the road."""

from __future__ import annotations

from collections.abc import Callable

import click

from tfcanary import report
from tfcanary.act import orders, rollback
from tfcanary.cli import options
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release
from tfcanary.run import steps

Order = Callable[[Platform, str], Release | None]


def _order(short_help: str, reason: str = "by a person") -> Callable[[Callable[..., None]], click.Command]:
    """A verb that takes a model, a reason and what every verb takes."""

    def made(function: Callable[..., None]) -> click.Command:
        text = "For the record."
        given = click.option("--reason", default=reason, show_default=True, metavar="TEXT", help=text)
        taking = options.model()(options.platform(given(options.as_json(function))))
        return click.command(short_help=short_help)(taking)

    return made


@_order("Roll back the release on the road, whatever its state.", reason="aborted by a person")
def abort(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Roll back whatever release of the model is on the road; from any state, may be repeated.

    Exit 0 nothing of it has traffic any more, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary abort digits
    """
    step = steps.reopen_step(platform_uri, name)
    _said(name, rollback.roll_back(step.platform, step.run_id, reason), json_)


@_order("Keep a release at its weight; it is watched on.")
def pause(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Keep the release at its weight: it is watched, and may be rolled back, but neither advances nor is promoted.

    It ends as undecided when the plan's `stage.patience` is over. Exit 0 paused, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary pause digits --reason "the shop has its sale"
    """
    _ordered(orders.pause, platform_uri, name, reason, json_)


@_order("Let a paused release go on.")
def resume(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Let a paused release go on. Exit 0 it goes on, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary resume digits
    """
    _ordered(orders.resume, platform_uri, name, reason, json_)


@_order("Let a stage end that waits for a person.")
def approve(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Let a stage end that went well and waits for a person, as the plan's `stage.approval` asks.

    Exit 0 approved, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary approve digits --reason "checked with the search team"
    """
    _ordered(orders.approve, platform_uri, name, reason, json_)


@_order("Roll back a release that waits for a person.")
def reject(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Roll back a release that waits for a person's approval. Exit 0 rolled back, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary reject digits --reason "the tone is wrong in French"
    """
    _ordered(orders.reject, platform_uri, name, reason, json_)


def _ordered(order: Order, platform_uri: str, name: str, reason: str, json_: bool) -> None:
    _said(name, order(steps.reopen_step(platform_uri, name).platform, reason), json_)


def _said(name: str, release: Release | None, json_: bool) -> None:
    sentence = report.release_line(release) if release else f"{name}: nothing was ever released under this name"
    options.said(release.state.value if release else "none", sentence, json_)
