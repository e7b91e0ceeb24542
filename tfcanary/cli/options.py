"""The options that verbs share, so that they are spelled and explained the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tfcanary import codec, platforms
from tfcanary.plan import Plan
from tfcanary.submit import handle


def platform(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--platform`."""
    text = "kube://<namespace> or local:///<state folder>. Default: $TFCANARY_PLATFORM, else local://$PWD/.tfcanary"
    return click.option("--platform", "platform_uri", default=platforms.default, metavar="URI", help=text)(function)


def plan(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--plan`: a YAML or JSON file."""
    text = "The release plan, YAML or JSON." + ("" if required else " Default: every default.")
    return click.option("--plan", "plan_file", required=required, type=click.Path(path_type=Path), metavar="FILE", help=text)


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`."""
    return click.option("--json", "json_", is_flag=True, help="One JSON object on stdout, everything else on stderr.")(function)


def read_plan(file: Path | None) -> Plan:
    """Decode a plan file; raises Refused naming the file and the place in it."""
    return handle.read_plan(file) if file else Plan()


def print_json(value: Any) -> None:
    """One object on stdout."""
    click.echo(json.dumps(codec.encode(value), indent=2))
