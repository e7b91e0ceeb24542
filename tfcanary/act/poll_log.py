"""ACT: what the judge was told at every poll, kept beside its state, so that a release can be judged again.

The last few polls travel in the checkpoint; when there are enough of them they become an object of their own, a reel.
A reel is written only once a checkpoint holds all of it: whoever writes it writes the same bytes, and a kill at any
moment loses no poll. Everything is compressed: a poll of ten servers takes less than 1 kB.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from tfcanary.core import codec
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release
from tfcanary.decide.judge import Poll

POLLS = 12
"""In a reel: two minutes at ten seconds. The more, the fewer writes and the larger each checkpoint."""
LARGEST = 64 * 2**20
"""Bytes of an unpacked reel: what claims to be more is none."""


@dataclass(frozen=True, slots=True)
class Tape:
    """What lies in the checkpoint: the polls since the last reel."""

    first: int = 0
    """How many polls came before these."""
    polls: int = 0
    packed: str = ""
    """Lines of JSON, compressed."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of the first reel: the judge before its first poll."""

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
    return Tape(packed=_pack([codec.dumps(head)]))


def add(tape: Tape, at: datetime, poll: Poll) -> Tape:
    """With one more poll."""
    samples = [_plain(one) for one in (poll.stable, poll.canary, poll.baseline) if one is not None]
    line = json.dumps([at.isoformat(), poll.t, poll.weight, *samples], separators=(",", ":"))
    return replace(tape, polls=tape.polls + 1, packed=_pack([*_unpack(tape.packed, "tape"), line]))


def wind(platform: Platform, run_id: str, tape: Tape) -> Tape:
    """The tape of the last checkpoint, as its successor goes on with it: a full one becomes a reel."""
    if tape.polls < POLLS:
        return tape
    platform.storage.write(f"{_folder(platform, run_id)}{tape.first:08}.z", base64.b64decode(tape.packed))
    return Tape(first=tape.first + tape.polls)


def read(platform: Platform, run_id: str, rest: Tape) -> tuple[Head, tuple[Look, ...]]:
    """The whole tape of a release, `rest` being that of its last checkpoint. Raises Refused where a part is missing or is none."""
    folder = _folder(platform, run_id)
    lines: list[str] = []
    names = [blob.name for blob in platform.storage.list(folder) if _first(blob.name) < rest.first]
    for name in names:
        if _first(name) != max(len(lines) - 1, 0):
            break
        lines += _unpack(base64.b64encode(_content(platform, name)).decode(), f"{platform.bucket_uri}/{name}")
    lines += _unpack(rest.packed, f"{run_id}: the checkpoint") if rest.packed else []
    if not lines or len(lines) - 1 != rest.first + rest.polls:
        missing = "nothing was kept of its polls" if not lines else f"{len(lines) - 1} of {rest.first + rest.polls} polls are there"
        raise Refused(f"{platform.bucket_uri}/{folder}: the release cannot be judged again: {missing}")
    head: Head = codec.loads(Head, lines[0], at=folder)
    return head, tuple(_look(line, folder) for line in lines[1:])


def _folder(platform: Platform, run_id: str) -> str:
    return f"{platform.model}/polls/{run_id}/"


def _first(name: str) -> int:
    number = name.rpartition("/")[2].removesuffix(".z")
    return int(number) if number.isdecimal() else 2**63


def _content(platform: Platform, name: str) -> bytes:
    into = io.BytesIO()
    platform.storage.read(name, into)
    return into.getvalue()


def _pack(lines: list[str]) -> str:
    return base64.b64encode(zlib.compress("\n".join(lines).encode())).decode()


def _unpack(packed: str, at: str) -> list[str]:
    if not packed:
        return []
    try:
        unpacking = zlib.decompressobj()
        lines = unpacking.decompress(base64.b64decode(packed), LARGEST).decode().split("\n")
    except (ValueError, zlib.error) as error:
        raise Refused(f"{at}: no reel of polls ({error})") from error
    if not unpacking.eof:
        raise Refused(f"{at}: no reel of polls (it is cut off, or larger than {LARGEST} bytes)")
    return lines


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
