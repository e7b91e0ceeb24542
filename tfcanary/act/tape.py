"""ACT: lines that grow by one at every poll, each of them written once.

The last few lines travel in the checkpoint; when there are enough of them they become an object of their own, a reel. A reel is
written only once a checkpoint holds all of it: whoever writes it writes the same bytes, and a kill at any moment loses no line.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from tfcanary.core.errors import Refused
from tfcanary.core.ports import Storage

LARGEST = 64 * 2**20
"""Bytes of an unpacked reel: what claims to be more is none."""


@dataclass(frozen=True, slots=True)
class Tape:
    """What lies in the checkpoint: the lines since the last reel."""

    first: int = 0
    """How many lines came before these; they lie in reels."""
    lines: int = 0
    packed: str = ""
    """The lines, compressed."""


def add(tape: Tape, line: str) -> Tape:
    """The tape with one more line."""
    return Tape(tape.first, tape.lines + 1, pack([*unpack(tape.packed, "tape"), line]))


def wind(storage: Storage, folder: str, tape: Tape, most: int) -> Tape:
    """The tape of the last checkpoint, as its successor goes on with it: `most` lines become a reel in `folder`, which ends in `/`."""
    if tape.lines < most:
        return tape
    storage.write(f"{folder}{tape.first:08}.z", base64.b64decode(tape.packed))
    return Tape(first=tape.first + tape.lines)


def read(storage: Storage, uri: str, folder: str, rest: Tape) -> tuple[str, ...]:
    """Every line, `rest` being the tape of the last checkpoint. Raises Refused where a reel is missing or is none.

    `uri` is where the storage lies, for the sentence.
    """
    lines: list[str] = []
    for name in [blob.name for blob in storage.list(folder)] if rest.first else ():
        # A process that was killed may have left the reel of a checkpoint that never was.
        if _first(name) != len(lines) or len(lines) >= rest.first:
            break
        lines += unpack(base64.b64encode(_content(storage, name)).decode(), f"{uri}/{name}")
    if len(lines) != rest.first:
        raise Refused(f"{uri}/{folder}: a reel is missing: {len(lines)} of the first {rest.first} lines are there")
    return (*lines, *unpack(rest.packed, f"{folder}: the checkpoint"))


def _first(name: str) -> int:
    number = name.rpartition("/")[2].removesuffix(".z")
    return int(number) if number.isdecimal() else -1


def _content(storage: Storage, name: str) -> bytes:
    into = io.BytesIO()
    storage.read(name, into)
    return into.getvalue()


def pack(lines: Iterable[str]) -> str:
    """The lines, compressed, as text."""
    return base64.b64encode(zlib.compress("\n".join(lines).encode())).decode()


def unpack(packed: str, at: str) -> list[str]:
    """The lines that were packed. Raises Refused, naming where they lie, where the text is no such thing, or too large."""
    if not packed:
        return []
    try:
        unpacking = zlib.decompressobj()
        lines = unpacking.decompress(base64.b64decode(packed), LARGEST).decode().split("\n")
    except (ValueError, zlib.error) as error:
        raise Refused(f"{at}: no reel ({error})") from error
    if not unpacking.eof:
        raise Refused(f"{at}: no reel (it is cut off, or larger than {LARGEST} bytes)")
    return lines
