"""What a file holds, told by its first bytes."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import KNOWN, Format
from tfcanary.tf.wire import tfrecord

BEGINNING = 65_536
"""Bytes that are looked at."""
DELIMITED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def format_of(path: Path) -> Format:
    """The format of a file; raises Refused where it is none that can be read, OSError where the file cannot be."""
    with path.open("rb") as file:
        start = file.read(BEGINNING)
    if not start:
        raise Refused(f"{path}: is empty; {KNOWN}")
    for magic, found in ((b"PAR1", Format.PARQUET), (b"ARROW1", Format.ARROW), (b"\xff\xff\xff\xff", Format.STREAM)):
        if start.startswith(magic):
            return found
    if start.startswith(b"\x1f\x8b"):
        start = _unzipped(path)
    if tfrecord.is_tfrecord(start[:12]) and not start.startswith(b"\x1f\x8b"):
        return _records(path)
    if start.lstrip()[:1] in (b"{", b"["):
        return _json(start)
    if path.name.lower().endswith(DELIMITED):
        return Format.CSV
    raise Refused(f"{path}: begins with {start[:12]!r}, and is nothing that is known; {KNOWN}")


def _unzipped(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(BEGINNING)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{path}: damaged GZIP ({error})") from error


def _records(path: Path) -> Format:
    """A PredictionLog says which kind of log it is; read as one, a tf.Example has none."""
    from google.protobuf.message import DecodeError

    from tfcanary.tf.wire import messages

    first = next(tfrecord.read(path))
    try:
        return Format.PREDICTIONS if messages.PredictionLog.FromString(first).WhichOneof("log_type") else Format.EXAMPLES
    except DecodeError:
        return Format.EXAMPLES


def _json(start: bytes) -> Format:
    """A line that is no row but a whole request, as loggers write it, or a list of them, or a document over many lines."""
    from tfcanary.look.evaluate.sources.request_logs import is_logged

    text = start.lstrip()
    if text[:1] == b"[":
        return Format.LOGGED
    try:
        one = json.loads(text.splitlines()[0])
    except ValueError:
        return Format.LOGGED if b"http_buffered_trace" in text or b'"reqType"' in text else Format.LINES
    return Format.LOGGED if is_logged(list(one)) else Format.LINES
