"""The options that verbs share, so that they are spelled and explained the same everywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tfcanary import codec
from tfcanary.plan import Plan

STATE = Path(".tfcanary")
"""The local platform's folder, below the working directory, where none is named."""


def default_platform() -> str:
    """TFCANARY_PLATFORM, else the local platform of the working directory."""
    return os.environ.get("TFCANARY_PLATFORM") or f"local://{STATE.resolve()}"


def platform(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--platform`."""
    text = "kube://<namespace> or local:///<state folder>. Default: $TFCANARY_PLATFORM, else local://$PWD/.tfcanary"
    return click.option("--platform", "platform_uri", default=default_platform, metavar="URI", help=text)(function)


def plan(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--plan`: a YAML or JSON file."""
    text = "The release plan, YAML or JSON." + ("" if required else " Default: every default.")
    return click.option("--plan", "plan_file", required=required, type=click.Path(path_type=Path), metavar="FILE", help=text)


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`."""
    return click.option("--json", "json_", is_flag=True, help="One JSON object on stdout, everything else on stderr.")(function)


def read_plan(file: Path | None) -> Plan:
    """Decode a plan file; raises Refused naming the file and the place in it."""
    if file is None:
        return Plan()
    document = codec.read_document(file)
    decoded: Plan = codec.decode(Plan, {} if document is None else document, at=str(file))
    return decoded


def print_json(value: Any) -> None:
    """One object on stdout."""
    click.echo(json.dumps(codec.encode(value), indent=2))
