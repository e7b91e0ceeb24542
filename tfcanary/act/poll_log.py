"""ACT: what the judge was told at every poll, kept beside its state, so that a release can be judged again.

The first line of the tape is the judge before its first poll, each other line a poll. A poll of ten servers takes less than 1 kB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from tfcanary.act import tape
from tfcanary.act.tape import Tape
from tfcanary.core import codec
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release
from tfcanary.decide.judge import Poll

LINES = 12
"""In a reel: two minutes at ten seconds. The more, the fewer writes and the larger each checkpoint."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line: the judge before its first poll."""

    run_id: str
    version: int
    """Of the candidate."""
    plan: JudgePlan
    judge: str
    """Its JSON: calibrated, and without a poll."""


@dataclass(frozen=True, slots=True)
class Look:
    """One poll, and when it was."""

    at: datetime
    poll: Poll


def begin(release: Release, judge: str) -> Tape:
    """The tape of a judge that has had no poll yet."""
    head = Head(release.run_id, release.candidate.number if release.candidate else 0, release.plan.judge, judge)
    return tape.add(Tape(), codec.dumps(head))


def add(platform: Platform, run_id: str, polls: Tape, at: datetime, poll: Poll) -> Tape:
    """The tape of the last checkpoint with one more poll; what was full becomes a reel."""
    samples = [_plain(one) for one in (poll.stable, poll.canary, poll.baseline) if one is not None]
    line = json.dumps([at.isoformat(), poll.t, poll.weight, *samples], separators=(",", ":"))
    return tape.add(tape.wind(platform.storage, folder(platform, run_id), polls, LINES), line)


def read(platform: Platform, run_id: str, rest: Tape) -> tuple[Head, tuple[Look, ...]]:
    """All polls of a release, `rest` being the tape of its last checkpoint. Raises Refused where a part is missing or is none."""
    return parse(read_lines(platform, run_id, rest), f"{platform.bucket_uri}/{folder(platform, run_id)}")


def read_lines(platform: Platform, run_id: str, rest: Tape) -> tuple[str, ...]:
    """The lines of a release's tape, as `parse` reads them. Raises Refused where a part is missing or is none."""
    return tape.read(platform.storage, platform.bucket_uri, folder(platform, run_id), rest)


def parse(lines: Sequence[str], at: str) -> tuple[Head, tuple[Look, ...]]:
    """The judge before its first poll, and all polls. Raises Refused, naming where the lines lie, where they are none."""
    if not lines:
        raise Refused(f"{at}: the release cannot be judged again: nothing was kept of its polls")
    head: Head = codec.loads(Head, lines[0], at=at)
    return head, tuple(_look(line, at) for line in lines[1:])


def folder(platform: Platform, run_id: str) -> str:
    """Where the reels of a release's polls lie."""
    return f"{platform.model}/polls/{run_id}/"


def _plain(sample: Sample) -> list[Any]:
    """As JSON that gives back every number bit for bit, also those that are none."""
    return [sample.up, {name: [getattr(one, part.name) for part in fields(Counters)] for name, one in sample.servers.items()}]


def _look(line: str, at: str) -> Look:
    try:
        when, t, weight, stable, canary, *baseline = json.loads(line)
        samples = _sample(Track.STABLE, *stable), _sample(Track.CANARY, *canary)
        return Look(datetime.fromisoformat(when), Poll(t, *samples, weight, *(_sample(Track.BASELINE, *one) for one in baseline)))
    except (ValueError, TypeError) as error:
        raise Refused(f"{at}: no poll: {line[:80]!r}") from error


def _sample(track: Track, up: bool, servers: dict[str, list[Any]]) -> Sample:
    return Sample(track, up, {name: Counters(*_values(values)) for name, values in servers.items()})


def _values(values: list[Any]) -> Iterator[Any]:
    for value in values:
        yield {key: _plainly(one) for key, one in value.items()} if isinstance(value, dict) else _plainly(value)


def _plainly(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
