"""`plan` and `adopt`: what will be written, before anything is."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import yaml

from tfcanary import adapters
from tfcanary.act import adopt as adoption
from tfcanary.act import ledger, push
from tfcanary.cli import forecasts, options
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Change, Platform
from tfcanary.look import savedmodel
from tfcanary.run import steps

NOT_PUSHED = "sha256:" + "?" * 64
"""The identity of a candidate that is not there yet."""


@click.command(short_help="Is a plan sound, what would it write, how long does it take?")
@click.argument("plan_file", type=click.Path(path_type=Path))
@options.name(required=False, text="The model: then the plan is checked against what the platform has and can do.")
@options.platform
@click.option("--diff", is_flag=True, help="Show every object that the release would write; needs --name.")
@forecasts.options
@options.as_json
def plan(
    plan_file: Path, name: str, platform_uri: str, diff: bool, json_: bool, strict: bool, html: Path | None, **told: float | None
) -> None:
    """Check a plan, with --name whether the platform can follow it, and say how long each stage will take. Nothing is written.

    How long is told by stable's own counters (--name), or by numbers (--rate, --error-rate). Exit 0 sound, 2 not,
    3 could not ask; with --strict 1 where a stage cannot decide in its time.

    \b
    Example:  tfcanary plan plan.yaml --name digits --platform kube://models --diff
              tfcanary plan plan.yaml --rate 20 --error-rate 0.001 --html plan.html
    """
    if diff and not name:
        raise click.UsageError("--diff shows the objects of a model: name it with --name")
    asked = options.read_plan(plan_file)
    bound = adapters.open_platform(platform_uri, name, asked) if name else None
    changes = _checked(bound, asked, diff) if bound else ()
    expected = forecasts.expect(asked, None if diff else bound, told["rate"], told["error_rate"])
    if html:
        forecasts.write(expected, asked, html)
    if json_:
        said = {"finding": "pass", "reasons": [], "plan": codec.encode(asked), "objects": _objects(changes)}
        options.print_json({**said, **forecasts.as_json(expected)})
    else:
        for line in (*_stages(asked), *(line for change in changes for line in unified(change))):
            click.echo(line)
        forecasts.show(expected)
    if strict and expected and not expected.forecast.decides:
        sys.exit(1)


def _checked(bound: Platform, asked: Plan, diff: bool) -> tuple[Change, ...]:
    ledger.check(bound, asked)
    return tuple(bound.preflight.changes(_next(bound))) if diff else ()


def _next(platform: Platform) -> ModelVersion:
    number = push.next_number(platform)
    return ModelVersion(number, f"{platform.bucket_uri}/{platform.model}/{number}", NOT_PUSHED)


def _stages(asked: Plan) -> Iterator[str]:
    times = asked.stage
    for number, weight in enumerate(asked.weights):
        then = "promotes or rolls back" if asked.is_last(number) else "advances or rolls back"
        yield f"stage {number}: {weight:>3} %, {times.minimum} to {times.maximum}, a look every {times.poll.total_seconds():g} s; {then}"


def unified(change: Change) -> Iterator[str]:
    """A change as people read it: the object's YAML, with what goes and what comes."""
    before, after = (_yaml(side) for side in (change.before, change.after))
    yield f"# {change.name}: {'new' if change.before is None else 'unchanged' if before == after else 'changed'}"
    yield from (line.rstrip("\n") for line in difflib.unified_diff(before, after, "now", "then", n=3))


class _Readable(yaml.SafeDumper):  # type: ignore[misc]
    """Texts of several lines as they are, not with their ends escaped."""


_Readable.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def _yaml(side: object) -> list[str]:
    return yaml.dump(side, Dumper=_Readable, sort_keys=True).splitlines(keepends=True) if side is not None else []


@click.command(short_help="Take over running servers as the stable version.")
@options.model()
@click.option("--deployment", required=True, help="The Deployment that serves the model now.")
@click.option("--version", "number", required=True, type=int, help="The version number that its servers show.")
@click.option("--model", required=True, metavar="URI", help="The SavedModel that it serves: a directory or gs:// URI.")
@options.plan(required=True)
@options.platform
@click.option("--yes", is_flag=True, help="Do it; without, only what would change is shown.")
@options.as_json
def adopt(name: str, deployment: str, number: int, model: str, plan_file: Path, platform_uri: str, yes: bool, json_: bool) -> None:
    """Take over servers that were not started by tfcanary as the stable version of NAME. No pod is restarted.

    Exit 0 done, or shown; 2 it cannot be taken over, 3 could not ask.

    \b
    Example:  tfcanary adopt digits --deployment digits-serving --version 41 --model gs://models/digits/41 \\
                --plan plan.yaml --platform kube://models
    """
    asked = options.read_plan(plan_file)
    changes = adapters.adopt(platform_uri, name, deployment, number, asked, dry_run=True)
    if not json_:
        _show(changes)
    if not yes:
        options.said("nothing", "nothing was changed; --yes does it", json_, objects=_objects(changes))
        return
    bound = adapters.open_platform(platform_uri, name, asked)
    source = steps.fetch(model)
    adapters.adopt(platform_uri, name, deployment, number, asked, dry_run=False)
    version = adoption.adopt(bound, source, savedmodel.manifest(source), number)
    options.said("adopted", f"{name}: version {version.number} ({version.digest}) is stable", json_, objects=_objects(changes))


def _objects(changes: Iterable[Change]) -> list[dict[str, object]]:
    return [{"object": one.name, "before": one.before, "after": one.after} for one in changes]


def _show(changes: Iterable[Change]) -> None:
    for change in changes:
        for line in unified(change):
            click.echo(line)
