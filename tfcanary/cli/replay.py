"""The verb `replay`: what the judge decided, or would have decided, minute by minute."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tfcanary.act import checkpoint, poll_log
from tfcanary.cli import options, outputs, show
from tfcanary.core import codec
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused
from tfcanary.decide.judge import Judge
from tfcanary.look.evaluate import replay as replaying
from tfcanary.report.numbers import moment
from tfcanary.report.of_replay import minute_row, replay_page
from tfcanary.run import steps


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A replay, what was replayed, and whether its last verdict equals the live one; None where there was no live verdict."""

    title: str
    note: str
    replay: replaying.Replay
    same: bool | None


@click.command(short_help="Judge a release's recorded polls again.")
@options.model(required=False)
@options.platform
@click.option("--run", "run_id", default="", metavar="RUN", help="The run id of an earlier release. Default: the active or last release.")
@click.option("--prometheus", metavar="URL", help="Replay the history of this Prometheus, in place of a release's own polls.")
@click.option("--from", "begin", metavar="TIME", help="The time of the first canary traffic, for example 2026-01-31T12:00:00Z.")
@click.option("--to", "end", metavar="TIME", help="The end of the canary traffic.")
@options.plan(required=False)
@click.option(
    "--name", "model", metavar="MODEL", shell_complete=options.models, help="The name under which TensorFlow Serving serves the model."
)
@options.track_selectors
@click.option("--weight", type=click.IntRange(0, 100), help="The canary's share in percent, where it did not change.")
@outputs.page_option("Write the replay as a page into this file.")
@options.as_json
def replay(name: str | None, platform_uri: str, run_id: str, json_: bool, html: Path | None, **chosen: Any) -> None:
    """Judge the recorded polls of a release again, or judge the history that a Prometheus has. Nothing is changed.

    Exit 0 the verdict equals the live verdict, or there is none to compare with; 1 another verdict; 2 bad input, 3 the
    platform or Prometheus could not be reached.

    \b
    Example:  tfcanary replay digits --html replay.html
              tfcanary replay --prometheus http://prometheus:9090 --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z \\
                --plan plan.yaml --name digits --stable-selector '{track="stable"}' --canary-selector '{track="canary"}'
    """
    result = _of_prometheus(chosen) if chosen["prometheus"] else _of_release(platform_uri, name, run_id)
    if html:
        found = result.replay
        outputs.write_page(html, replay_page(found.last, found.by_minute(), found.timeline, result.title, result.note))
    if json_:
        options.print_json(_as_json(result))
    else:
        _print(result)
    if result.same is False:
        sys.exit(1)


def _of_release(platform_uri: str, name: str | None, run_id: str) -> ReplayResult:
    if not name:
        raise click.UsageError("name the model whose release is replayed, or give --prometheus")
    platform = steps.reopen_step(platform_uri, name).platform
    release = show.record_of(platform_uri, name).release
    run = run_id or (release.run_id if release else "")
    last = checkpoint.last_of(platform, run)
    if last is None:
        raise Refused(f"{name}: release {run!r} was never polled")
    head, looks = poll_log.read(platform, run, last.polls)
    judge = Judge.resume(head.judge, run, head.plan)
    found = replaying.replay(judge, [(look.at, look.poll) for look in looks])
    note = f"Release {run}, version {head.version}: the {len(looks)} polls that its judge received."
    alarms = [one.reason for one in last.verdict.evidence if one.about.startswith(replaying.WATCH_PREFIX)]
    note += "".join(f" The watch itself rolled it back: {reason}." for reason in alarms)
    return ReplayResult(f"Replay of {name}, version {head.version}", note, found, replaying.agrees_with_live(found.last, last.verdict))


def _of_prometheus(chosen: Mapping[str, Any]) -> ReplayResult:
    if missing := [f"--{option}" for option, key in _REQUIRED.items() if not chosen[key]]:
        raise click.UsageError(f"--prometheus needs {', '.join(missing)}")
    from tfcanary.adapters.metrics.prometheus import PrometheusSource

    plan, model = options.read_plan(chosen["plan_file"]), str(chosen["model"])
    begin, end = _instant("--from", chosen["begin"]), _instant("--to", chosen["end"])
    selectors = options.track_labels(chosen["stable"], chosen["canary"])
    source = PrometheusSource(chosen["prometheus"], model, plan.metrics, selectors, judge=plan.judge)
    polls = replaying.history_polls(source, begin, end, chosen["weight"])
    judge = Judge.begin(plan.judge, "replay", source.history(Track.STABLE, polls[0][0]))
    unknown = "" if chosen["weight"] is not None else " The split is unknown: whether the canary got its share is not judged."
    note = f"The history of Prometheus from {moment(polls[0][0])}, the canary's first sample.{unknown}"
    return ReplayResult(f"Replay of {model}", note, replaying.replay(judge, polls), None)


_REQUIRED = {"from": "begin", "to": "end", "plan": "plan_file", "name": "model", "stable-selector": "stable", "canary-selector": "canary"}


def _instant(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} {text!r}: must be an instant such as 2026-01-31T12:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _as_json(result: ReplayResult) -> dict[str, Any]:
    last = result.replay.last
    minutes = [
        {
            "at": codec.encode(verdict.at),
            "weight": verdict.weight,
            "decision": verdict.decision.value,
            "reason": verdict.reason,
            "findings": {one.about: one.finding.value for one in verdict.evidence},
        }
        for verdict in result.replay.by_minute()
    ]
    same = {} if result.same is None else {"same_as_live": result.same}
    return {"decision": last.decision.value, "reasons": [last.reason], "note": result.note, **same, "minutes": minutes, "verdict": last}


def _print(result: ReplayResult) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("time", "weight", "canary requests", "decision", "reason", title=result.title)
    minutes = result.replay.by_minute()
    for verdict in minutes:
        table.add_row(*minute_row(verdict, minutes[0].at, result.replay.timeline))
    Console().print(table)
    click.echo(result.note)
    if result.same is not None:
        click.echo("The live verdict was the same, bit for bit." if result.same else "The live verdict was another one.")
