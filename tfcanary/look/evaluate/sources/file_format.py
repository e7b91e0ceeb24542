"""Finds the format of a file by its first bytes."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import KNOWN, Format
from tfcanary.tf.wire import tfrecord

BEGINNING = 65_536
"""Bytes at the beginning of a file by which the format is found."""
DELIMITED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def format_of(path: Path) -> Format:
    """The format of a file. Raises Refused where the format is unknown or damaged, OSError where the file cannot be read."""
    with path.open("rb") as file:
        start = file.read(BEGINNING)
    if not start:
        raise Refused(f"{path}: is empty; {KNOWN}")
    for magic, form in ((b"PAR1", Format.PARQUET), (b"ARROW1", Format.ARROW), (b"\xff\xff\xff\xff", Format.STREAM)):
        if start.startswith(magic):
            return form
    if start.startswith(b"\x1f\x8b"):
        start = _unzip(path)
    if tfrecord.is_tfrecord(start[:12]) and not start.startswith(b"\x1f\x8b"):
        return _tfrecord_format(path)
    if start.lstrip()[:1] in (b"{", b"["):
        return _json_format(start)
    if path.name.lower().endswith(DELIMITED):
        return Format.CSV
    raise Refused(f"{path}: begins with {_shown(start)}, which is no known format; {KNOWN}")


def _shown(start: bytes) -> str:
    """The first characters of a text, else the first bytes in hexadecimal."""
    text = start.split(b"\n")[0][:12].decode("utf-8", errors="ignore")
    return repr(text) if text.isprintable() and text else f"the bytes {start[:8].hex(' ')}"


def _unzip(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(BEGINNING)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{path}: damaged GZIP ({error})") from error


def _tfrecord_format(path: Path) -> Format:
    """The format of a TFRecord file: a PredictionLog has a type of log, and a tf.Example parsed as one has none."""
    from google.protobuf.message import DecodeError

    from tfcanary.tf.wire import messages

    first = next(tfrecord.read(path))
    try:
        return Format.PREDICTIONS if messages.PredictionLog.FromString(first).WhichOneof("log_type") else Format.EXAMPLES
    except DecodeError:
        return Format.EXAMPLES


def _json_format(start: bytes) -> Format:
    """The format of a JSON file: lines of rows, or the requests of a logger as lines, as a list or as documents of many lines."""
    from tfcanary.look.evaluate.sources.request_logs import is_request_log

    text = start.lstrip()
    if text[:1] == b"[":
        return Format.LOGGED
    try:
        one = json.loads(text.splitlines()[0])
    except ValueError:
        return Format.LOGGED if b"http_buffered_trace" in text or b'"reqType"' in text else Format.LINES
    return Format.LOGGED if is_request_log(list(one)) else Format.LINES
