"""The verbs `plan` and `adopt`: both show what would be written before anything is written."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import yaml

from tfcanary import adapters
from tfcanary.act import adopt as adoption
from tfcanary.act import deploy, ledger, push
from tfcanary.adapters.clock import SystemClock
from tfcanary.cli import forecasts, options
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion
from tfcanary.core.plan import Plan, StageServers
from tfcanary.core.plan.outlook import outlook
from tfcanary.core.ports import Change, Platform
from tfcanary.look import savedmodel
from tfcanary.report import of_plan
from tfcanary.run import steps

UNKNOWN_DIGEST = "sha256:" + "?" * 64
"""The digest of a candidate that does not exist yet."""


@click.command(short_help="Check a plan, show what it would write, and forecast its time.")
@click.argument("plan_file", type=click.Path(path_type=Path))
@options.name(required=False, text="The model. With it, the plan is checked against what the platform has and can do.")
@options.platform
@click.option("--diff", is_flag=True, help="Show every object that the release would write; needs --name.")
@forecasts.options
@options.as_json
def plan(
    plan_file: Path, name: str, platform_uri: str, diff: bool, json_: bool, strict: bool, html: Path | None, **numbers: float | None
) -> None:
    """Check a plan, with --name also whether the platform can follow it, and forecast how long each stage takes. Nothing is written.

    The forecast uses the counters of the stable version (--name), or numbers (--rate, --error-rate). Exit 0 valid, 2 not valid,
    3 the platform could not be reached; with --strict 1 where a stage cannot decide in its time.

    \b
    Example:  tfcanary plan plan.yaml --name digits --platform kube://models --diff
              tfcanary plan plan.yaml --rate 20 --error-rate 0.001 --html plan.html
    """
    if diff and not name:
        raise click.UsageError("--diff shows the objects of a model: name it with --name")
    release_plan = options.read_plan(plan_file)
    platform = adapters.open_platform(platform_uri, name, release_plan) if name else None
    notes = _check_platform(platform, release_plan) if platform else ()
    servers = _servers(release_plan, platform)
    said = (*of_plan.stage_lines(release_plan, servers), *outlook(release_plan, (platform.clock if platform else SystemClock()).now()))
    changes = _changes(platform) if platform and diff else ()
    if diff and not changes:
        notes = (*notes, "the local platform has no objects to show")
    found = forecasts.forecast_of(release_plan, None if diff else platform, numbers["rate"], numbers["error_rate"])
    if html:
        forecasts.write_page(found, release_plan, said, servers, html)
    if json_:
        checked = {"finding": "pass", "reasons": list(notes), "plan": codec.encode(release_plan), "servers": codec.encode(servers)}
        options.print_json({**checked, "objects": _objects(changes), "schedule": said, **forecasts.as_json(found)})
    else:
        for line in (*said, *(line for change in changes for line in unified_diff(change))):
            click.echo(line)
        forecasts.print_forecast(found)
        for note in notes:
            click.echo(f"tfcanary: {note}", err=True)
    if strict and found and not found.forecast.decides:
        sys.exit(1)


def _check_platform(platform: Platform, plan: Plan) -> tuple[str, ...]:
    """Return what a person should know of the platform; raises Refused where a release could not end well by this plan.

    An active release is no obstacle to a verb that only reads.
    """
    record = ledger.read(platform)
    ledger.check_bootstrap(record, plan)
    platform.preflight.check(record)
    return (
        (f"{platform.model}: release {record.active.run_id!r} is active; another one can begin when it has ended",) if record.active else ()
    )


def _changes(platform: Platform) -> tuple[Change, ...]:
    number = push.next_number(platform)
    candidate = ModelVersion(number, f"{platform.bucket_uri}/{platform.model}/{number}", UNKNOWN_DIGEST)
    return tuple(platform.preflight.changes(candidate))


def _servers(plan: Plan, platform: Platform | None) -> tuple[StageServers, ...]:
    """Return the servers of each stage beside those that stable has now; without a platform, beside as many as the plan says."""
    stable = (len(deploy.servers_of_stable(platform)) if platform else 0) or plan.least_of_stable
    found = plan.servers_at(stable)
    if not plan.traffic.divides_by_servers:
        return found
    from tfcanary.adapters.routing.replicas import pods_for

    return tuple(replace(one, canary=pods_for(one.weight, stable)) for one in found)


def unified_diff(change: Change) -> Iterator[str]:
    """Yield the lines of a change: the object's YAML as a unified diff."""
    before, after = (_yaml(side) for side in (change.before, change.after))
    yield f"# {change.name}: {'new' if change.before is None else 'unchanged' if before == after else 'changed'}"
    yield from (line.rstrip("\n") for line in difflib.unified_diff(before, after, "before", "after", n=3))


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes a text of several lines as a block, not with escaped line ends."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def _yaml(side: object) -> list[str]:
    return yaml.dump(side, Dumper=_Dumper, sort_keys=True).splitlines(keepends=True) if side is not None else []


@click.command(short_help="Take over running servers as the stable version.")
@options.model()
@click.option("--deployment", required=True, help="The Deployment that serves the model now.")
@click.option("--version", "number", required=True, type=int, help="The version number that its servers report.")
@click.option("--model", required=True, metavar="URI", help="The SavedModel that it serves: a directory or gs:// URI.")
@options.plan(required=True)
@options.platform
@click.option("--yes", is_flag=True, help="Make the changes. Without it, the changes are only shown.")
@options.as_json
def adopt(name: str, deployment: str, number: int, model: str, plan_file: Path, platform_uri: str, yes: bool, json_: bool) -> None:
    """Take over servers that tfcanary did not start as the stable version of NAME. No pod is restarted.

    Exit 0 taken over, or shown; 2 cannot be taken over, 3 the platform could not be reached.

    \b
    Example:  tfcanary adopt digits --deployment digits-serving --version 41 --model gs://models/digits/41 \\
                --plan plan.yaml --platform kube://models
    """
    release_plan = options.read_plan(plan_file)
    changes = adapters.adopt(platform_uri, name, deployment, number, release_plan, dry_run=True)
    if not json_:
        for line in (line for change in changes for line in unified_diff(change)):
            click.echo(line)
    if not yes:
        options.print_result("nothing", "nothing was changed; --yes makes the changes", json_, objects=_objects(changes))
        return
    platform = adapters.open_platform(platform_uri, name, release_plan)
    source = steps.fetch(model)
    adapters.adopt(platform_uri, name, deployment, number, release_plan, dry_run=False)
    version = adoption.adopt(platform, source, savedmodel.manifest(source), number)
    options.print_result("adopted", f"{name}: version {version.number} ({version.digest}) is stable", json_, objects=_objects(changes))


def _objects(changes: Iterable[Change]) -> list[dict[str, object]]:
    return [{"object": one.name, "before": one.before, "after": one.after} for one in changes]
