"""The verbs `abort`, `pause`, `resume`, `approve`, `reject`, `override-window` and `repair`: orders of a person about the release of a model."""

from __future__ import annotations

from collections.abc import Callable

import click

from tfcanary import report
from tfcanary.act import finish, ledger, orders, restore, rollback
from tfcanary.cli import options, show
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release
from tfcanary.run import steps

Order = Callable[[Platform, str], Release | None]


def _order_verb(short_help: str, reason: str = "by a person") -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a verb with NAME, `--platform`, `--reason` and `--json`; `reason` is the default of `--reason`."""

    def decorate(function: Callable[..., None]) -> click.Command:
        text = "The reason, for the record."
        with_reason = click.option("--reason", default=reason, show_default=True, metavar="TEXT", help=text)(options.as_json(function))
        return click.command(short_help=short_help)(options.model()(options.platform(with_reason)))

    return decorate


@_order_verb("Roll back the active release, whatever its state.", reason="aborted by a person")
def abort(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Roll back the active release of the model. It works in every state and may be repeated.

    Exit 0 the canary has no traffic any more, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary abort digits
    """
    step = _reopen(platform_uri, name)
    _print_release(name, rollback.roll_back(step.platform, step.run_id, reason), json_)


@click.command(short_help="Put right what is not as the ended release's record says.")
@options.model()
@options.platform
@options.as_json
def repair(name: str, platform_uri: str, json_: bool) -> None:
    """Put traffic, tracks and servers right where they are not as the record of the ended release says. May be repeated.

    While a release is active, its steps and its guard do this: then the verb changes nothing. Exit 0 all is as recorded, 2 bad input,
    3 could not reach the platform.

    \b
    Example:  tfcanary repair digits
    """
    platform = _reopen(platform_uri, name).platform
    record = ledger.read(platform)
    if record.active:
        raise Refused(
            f"{name}: release {record.active.run_id!r} is active, and its guard keeps the world; end it by `tfcanary abort {name}`"
        )
    found = restore.differences(platform, record)
    if record.release:
        finish.finish(platform, record.release.run_id)
    if json_:
        options.print_json({"decision": "repaired" if found else "as recorded", "reasons": list(found)})
        return
    for difference in found:
        click.echo(f"put right: {difference}")
    click.echo(f"{name}: everything is as the record says")


@_order_verb("Keep a release at its weight; the watch goes on.", reason="no reason was given")
def pause(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Keep the release at its weight: it is watched and may be rolled back, but it neither advances nor is promoted.

    It ends as undecided after the plan's `stage.patience`. Exit 0 paused, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary pause digits --reason "the shop has its sale"
    """
    _give_order(orders.pause, platform_uri, name, reason, json_)


@_order_verb("Let a paused release continue.")
def resume(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Let a paused release continue. Exit 0 it continues, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary resume digits
    """
    _give_order(orders.resume, platform_uri, name, reason, json_)


@_order_verb("Let a stage end that waits for a person.")
def approve(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Let a stage end that went well and waits for a person, as the plan's `stage.approval` demands.

    Exit 0 approved, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary approve digits --reason "checked with the search team"
    """
    _give_order(orders.approve, platform_uri, name, reason, json_)


@_order_verb("Roll back a release that waits for a person.")
def reject(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Roll back a release that waits for a person's approval. Exit 0 rolled back, 2 bad input, 3 could not reach the platform.

    \b
    Example:  tfcanary reject digits --reason "the tone is wrong in French"
    """
    _give_order(orders.reject, platform_uri, name, reason, json_)


@click.command("override-window", short_help="Let weights rise outside the plan's windows.")
@options.model()
@options.platform
@click.option("--reason", required=True, metavar="TEXT", help="The reason, which the record keeps and every page shows.")
@options.as_json
def override_window(name: str, platform_uri: str, reason: str, json_: bool) -> None:
    """Let the weights of the active release rise whatever the plan's `windows` and `freeze` say, until it ends.

    The watch goes on as before: what it finds still holds the release or rolls it back. Exit 0 overridden, 2 bad input, 3 could not reach
    the platform.

    \b
    Example:  tfcanary override-window digits --reason "the fix of Tuesday's outage cannot wait until Monday"
    """
    _give_order(orders.override_window, platform_uri, name, reason, json_)


def _give_order(order: Order, platform_uri: str, name: str, reason: str, json_: bool) -> None:
    _print_release(name, order(_reopen(platform_uri, name).platform, reason), json_)


def _reopen(platform_uri: str, name: str) -> steps.Step:
    """Bind the platform to a model that has a record: a misspelt name must not look like an order that was obeyed. Raises Refused."""
    show.record_of(platform_uri, name)
    return steps.reopen_step(platform_uri, name)


def _print_release(name: str, release: Release | None, json_: bool) -> None:
    """Print how the release stands; raises Conflict where the record shows another one by now."""
    if release is None:
        raise Conflict(f"{name}: another release began meanwhile; repeat the order if it is meant for that one")
    options.print_result(release.state.value, report.release_line(release), json_)
