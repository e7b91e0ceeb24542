"""`replay`: what the judge said, or would have said, minute by minute."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tfcanary.act import checkpoint, ledger, poll_log
from tfcanary.cli import options
from tfcanary.core import codec
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused
from tfcanary.decide.judge import Judge
from tfcanary.look.evaluate import replay as again
from tfcanary.run import steps


@dataclass(frozen=True, slots=True)
class Told:
    """A replay, what it was of, and whether the live verdict was the same; None: there was none."""

    title: str
    note: str
    replay: again.Replay
    same: bool | None


@click.command(short_help="What did the judge say, or what would it have said?")
@options.model(required=False)
@options.platform
@click.option("--run", "run_id", default="", metavar="RUN", help="A former release, by its run id. Default: the present or last one.")
@click.option("--prometheus", metavar="URL", help="Replay what this Prometheus remembers, instead of a release's own polls.")
@click.option("--from", "begin", metavar="TIME", help="The first canary traffic, for example 2026-01-31T12:00:00Z ...")
@click.option("--to", "end", metavar="TIME", help="... and the end.")
@options.plan(required=False)
@click.option("--name", "model", metavar="MODEL", shell_complete=options.models, help="The model, as its servers name it.")
@click.option(
    "--stable-selector", "stable", multiple=True, metavar="LABEL=VALUE", help="What tells stable's series apart; may be repeated."
)
@click.option("--canary-selector", "canary", multiple=True, metavar="LABEL=VALUE", help="The same for the canary's.")
@click.option("--weight", type=click.IntRange(0, 100), help="The canary's share in percent, if it was the same throughout.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the page here.")
@options.as_json
def replay(name: str | None, platform_uri: str, run_id: str, json_: bool, html: Path | None, **asked: Any) -> None:
    """Say what the judge said of a release, or would have said of what a Prometheus remembers. Nothing is changed.

    A release is judged again from the polls that were kept beside it. Exit 0 the same verdict, or none to compare with;
    1 another verdict; 2 bad input, 3 could not ask.

    \b
    Example:  tfcanary replay digits --html replay.html
              tfcanary replay --prometheus http://prometheus:9090 --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z \\
                --plan plan.yaml --name digits --stable-selector track=stable --canary-selector track=canary
    """
    told = _of_prometheus(asked) if asked["prometheus"] else _of_release(platform_uri, name, run_id)
    if html:
        _write(told, html)
    if json_:
        options.print_json(_as_json(told))
    else:
        _show(told)
    if told.same is False:
        sys.exit(1)


def _of_release(platform_uri: str, name: str | None, run_id: str) -> Told:
    if not name:
        raise click.UsageError("name the model whose release is replayed, or give --prometheus")
    platform = steps.reopen_step(platform_uri, name).platform
    release = ledger.read(platform).release
    run = run_id or (release.run_id if release else "")
    kept = checkpoint.last_of(platform, run) if run else None
    if kept is None:
        raise Refused(f"{name}: {f'release {run!r} was never polled' if run else 'nothing was ever released under this name'}")
    head, looks = poll_log.read(platform, run, kept.tape)
    judge = Judge.resume(head.judge, run, head.plan)
    found = again.replay(judge, [(look.at, look.poll) for look in looks])
    note = f"Release {run}, version {head.version}: the {len(looks)} polls that its judge was told of."
    alarms = [one.reason for one in kept.verdict.evidence if one.about.startswith(again.ALARM)]
    note += "".join(f" The watch itself rolled it back: {reason}." for reason in alarms)
    return Told(f"Replay of {name}, version {head.version}", note, found, again.same(found.last, kept.verdict))


def _of_prometheus(asked: Mapping[str, Any]) -> Told:
    if missing := [f"--{option}" for option, key in _NEEDED.items() if not asked[key]]:
        raise click.UsageError(f"--prometheus needs {', '.join(missing)}")
    from tfcanary.adapters.metrics.prometheus import PrometheusSource

    plan, model = options.read_plan(asked["plan_file"]), str(asked["model"])
    begin, end = _instant("--from", asked["begin"]), _instant("--to", asked["end"])
    selectors = {Track.STABLE: _labels("--stable-selector", asked["stable"]), Track.CANARY: _labels("--canary-selector", asked["canary"])}
    source = PrometheusSource(asked["prometheus"], model, plan.metrics, selectors, judge=plan.judge)
    polls = again.remembered(source, begin, end, asked["weight"])
    judge = Judge.begin(plan.judge, "replay", source.history(Track.STABLE, polls[0][0]))
    unknown = "" if asked["weight"] is not None else " The split is unknown: whether the canary got its share is not judged."
    note = f"From {polls[0][0]:%Y-%m-%d %H:%M:%S} UTC on, where the canary is first there, as Prometheus remembers it.{unknown}"
    return Told(f"Replay of {model}", note, again.replay(judge, polls), None)


_NEEDED = {"from": "begin", "to": "end", "plan": "plan_file", "name": "model", "stable-selector": "stable", "canary-selector": "canary"}


def _instant(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} {text!r}: must be an instant such as 2026-01-31T12:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _labels(option: str, pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise Refused(f"{option} {pair!r}: must be a label and its value, for example track=canary")
    return dict(pair.split("=", 1) for pair in pairs)


def _as_json(told: Told) -> dict[str, Any]:
    last = told.replay.last
    said = [
        {"at": codec.encode(v.at), "weight": v.weight, "decision": v.decision.value, "reason": v.reason, "findings": _findings(v)}
        for v in told.replay.by_minute()
    ]
    same = {} if told.same is None else {"same_as_live": told.same}
    return {"decision": last.decision.value, "reasons": [last.reason], "note": told.note, **same, "minutes": said, "verdict": last}


def _findings(verdict: Any) -> dict[str, str]:
    return {one.about: one.finding.value for one in verdict.evidence}


def _show(told: Told) -> None:
    from rich.console import Console
    from rich.table import Table

    from tfcanary.report.of_replay import minute

    table = Table("after", "weight", "canary requests", "the judge said", "why", title=told.title)
    minutes = told.replay.by_minute()
    for verdict in minutes:
        table.add_row(*minute(verdict, minutes[0].at, told.replay.timeline))
    Console().print(table)
    click.echo(told.note)
    if told.same is not None:
        click.echo("The live verdict was the same, bit for bit." if told.same else "The live verdict was another one.")


def _write(told: Told, html: Path) -> None:
    from tfcanary.report.of_replay import replay_html

    found = told.replay
    html.write_text(replay_html(found.last, found.by_minute(), found.timeline, told.title, told.note), encoding="utf-8")
    click.echo(f"page written to {html}", err=True)
