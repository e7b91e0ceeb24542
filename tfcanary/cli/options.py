"""The options that verbs share, so that they are spelled and explained the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tfcanary import adapters
from tfcanary.core import codec
from tfcanary.core.errors import TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.run.submit import handle

COMPLETES = 1.0
"""Seconds for which a cluster is asked for names while somebody types."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def platform(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--platform`."""
    text = "kube://<namespace> or local:///<state folder>. Default: $TFCANARY_PLATFORM, else local://$PWD/.tfcanary"
    return click.option("--platform", "platform_uri", default=adapters.default_platform, metavar="URI", help=text)(function)


def plan(required: bool, without: str = "Default: every default.") -> Decorator:
    """`--plan`: a YAML or JSON file. `without`: what is done where it is left out."""
    text = "The release plan, YAML or JSON." + ("" if required else f" {without}")
    return click.option("--plan", "plan_file", required=required, type=click.Path(path_type=Path), metavar="FILE", help=text)


def name(required: bool, text: str) -> Decorator:
    """`--name`: a model's."""
    return click.option("--name", required=required, default=None if required else "", metavar="MODEL", help=text, shell_complete=models)


def model(required: bool = True) -> Decorator:
    """NAME as an argument: a model that the platform has a record of."""
    return click.argument("name", required=required, shell_complete=models)


def models(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The models of the platform that begin as typed; none where it cannot be asked at once."""
    try:
        found = adapters.models(context.params.get("platform_uri") or adapters.default_platform(), patience=COMPLETES)
    except TfcanaryError:
        return []
    return [one for one in found if one.startswith(typed)]


def host(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--host`: where the pipeline runs."""
    text = "A Kubeflow Pipelines endpoint. Default: run the pipeline on this machine."
    return click.option("--host", default="", metavar="URL", help=text)(function)


def image(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--image`."""
    return click.option("--image", default="", metavar="REF", help="The image in which the steps run on that host.")(function)


def service_account(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--service-account`."""
    text = "As whom the steps run on that host. Default: the host's own."
    return click.option("--service-account", default="", metavar="NAME", help=text)(function)


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`."""
    return click.option("--json", "json_", is_flag=True, help="One JSON object on stdout, everything else on stderr.")(function)


def read_plan(file: Path | None) -> Plan:
    """Decode a plan file; raises Refused naming the file and the place in it."""
    return handle.read_plan(file) if file else Plan()


def print_json(value: Any) -> None:
    """One object on stdout."""
    click.echo(json.dumps(codec.encode(value), indent=2))


def said(decision: str, sentence: str, json_: bool, **more: Any) -> None:
    """What a verb has done, in one sentence on stderr; or as the object of `--json`."""
    if json_:
        print_json({"decision": decision, "reasons": [sentence], **more})
    else:
        click.echo(sentence, err=True)
