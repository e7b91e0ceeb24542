"""The options that verbs share, so that their names and explanations are the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcanary import adapters
from tfcanary.core import codec
from tfcanary.core.domain import Track
from tfcanary.core.errors import TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.run.submit import handle

if TYPE_CHECKING:
    from tfcanary.adapters.metrics.queries import Labels

HINT_PATIENCE = 1.0
"""Seconds that a cluster has to answer with the names of its models, where they only help somebody who types."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def platform(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--platform` to a verb."""
    text = "kube://<namespace> or local:///<state folder>. Default: $TFCANARY_PLATFORM, else local://$PWD/.tfcanary"
    return click.option("--platform", "platform_uri", default=adapters.default_platform, metavar="URI", help=text)(function)


def plan(required: bool, without: str = "Default: the defaults of all fields.") -> Decorator:
    """Return a decorator that adds `--plan`, a YAML or JSON file; `without` says what happens where it is omitted."""
    text = "The release plan, YAML or JSON." + ("" if required else f" {without}")
    return click.option("--plan", "plan_file", required=required, type=click.Path(path_type=Path), metavar="FILE", help=text)


def name(required: bool, text: str) -> Decorator:
    """Return a decorator that adds `--name`, the name of a model; `text` is its help."""
    if required:
        # Without a default: from click 8.3 on, an option with a default of None is never missing.
        return click.option("--name", required=True, metavar="MODEL", help=text, shell_complete=models)
    return click.option("--name", default="", metavar="MODEL", help=text, shell_complete=models)


def model(required: bool = True) -> Decorator:
    """Return a decorator that adds the argument NAME, a model that has a record on the platform."""
    return click.argument("name", required=required, shell_complete=models)


def models(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the models of the platform whose names begin with `typed`; none where the platform does not answer in time."""
    names = recorded_models(context.params.get("platform_uri") or adapters.default_platform())
    return [one for one in names if one.startswith(typed)]


def recorded_models(platform_uri: str) -> tuple[str, ...]:
    """Return the models that have a record on the platform; none where it does not answer in time."""
    try:
        return adapters.models(platform_uri, patience=HINT_PATIENCE)
    except TfcanaryError:
        return ()


def track_selectors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--stable-selector` and `--canary-selector`, as the parameters `stable` and `canary`."""
    for track, series in (("canary", "the canary's series"), ("stable", "the stable track's series")):
        text = f'The labels of {series}, for example {{track="{track}"}}.'
        function = click.option(f"--{track}-selector", track, default="", metavar="{LABELS}", help=text)(function)
    return function


def track_labels(stable: str, canary: str) -> Mapping[Track, Labels]:
    """Return the labels of both tracks by the two selectors; raises Refused naming the option that is no selector."""
    from tfcanary.adapters.metrics.track_selectors import labels_of

    return {Track.STABLE: labels_of("--stable-selector", stable), Track.CANARY: labels_of("--canary-selector", canary)}


def host(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--host` to a verb."""
    text = "The Kubeflow Pipelines endpoint that runs the pipeline. Default: this machine runs it."
    return click.option("--host", default="", metavar="URL", help=text)(function)


def host_ui(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--host-ui`."""
    text = "Where people open that host's pages. Default: the address of --host."
    return click.option("--host-ui", default="", metavar="URL", help=text)(function)


def host_auth(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--host-auth`, a file for `host_auth.read_auth`."""
    text = "The credentials for that host, YAML or JSON: docs/triggers.md. Default: $TFCANARY_HOST_AUTH, else a pod's own token."
    return click.option("--host-auth", envvar="TFCANARY_HOST_AUTH", default="", metavar="FILE", help=text)(function)


def image(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--image` to a verb."""
    return click.option("--image", default="", metavar="REF", help="The container image of the steps on that host. A host needs it.")(
        function
    )


def service_account(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--service-account` to a verb."""
    text = "The Kubernetes service account of the steps on that host. Default: the host's default account."
    return click.option("--service-account", default="", metavar="NAME", help=text)(function)


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json` to a verb."""
    return click.option("--json", "json_", is_flag=True, help="Print one JSON object on stdout and everything else on stderr.")(function)


def read_plan(file: Path | None) -> Plan:
    """Return the plan of a file, or the default plan for None; raises Refused that names the file and the wrong place in it."""
    return handle.read_plan(file) if file else Plan()


def print_json(value: Any) -> None:
    """Print a value as one JSON object on stdout."""
    click.echo(json.dumps(codec.encode(value), indent=2))


def print_result(decision: str, sentence: str, json_: bool, **more: Any) -> None:
    """Print what a verb did: one sentence on stderr, or the object of `--json` with `more` in it."""
    if json_:
        print_json({"decision": decision, "reasons": [sentence], **more})
    else:
        click.echo(sentence, err=True)
