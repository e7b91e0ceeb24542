"""Finds the format of a file by its first bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import KNOWN, Format
from tfcanary.tf.wire import tfrecord

BEGINNING = 65_536
"""Bytes at the beginning of a file by which the format is found."""
GZIP = b"\x1f\x8b"
"""With which a file begins that is packed by GZIP."""
BLANKS = b" \t\r\n\xef\xbb\xbf"
"""What may stand before the first character of a JSON text: blanks, and the bytes of a byte order mark."""
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
    start = beginning(path, BEGINNING)
    if tfrecord.is_tfrecord(start[:12]) and not start.startswith(GZIP):
        return _tfrecord_format(path)
    if start.lstrip(BLANKS)[:1] in (b"{", b"["):
        return _json_format(path, start.lstrip(BLANKS)[:1] == b"[")
    if path.name.lower().endswith(DELIMITED):
        return Format.CSV
    raise Refused(f"{path}: begins with {_excerpt(start)}, which is no known format; {KNOWN}")


def _excerpt(start: bytes) -> str:
    """The first characters of a text, else the first bytes in hexadecimal."""
    text = start.split(b"\n")[0][:12].decode("utf-8", errors="ignore")
    return repr(text) if text.isprintable() and text else f"the bytes {start[:8].hex(' ')}"


def beginning(path: Path, size: int) -> bytes:
    """The first `size` bytes of a file, unpacked where it is packed by GZIP. Raises Refused where it is damaged, OSError where it cannot be read."""
    with path.open("rb") as file:
        start = file.read(size)
    if not start.startswith(GZIP):
        return start
    try:
        with gzip.open(path) as unpacked:
            return unpacked.read(size)
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


def _json_format(path: Path, is_list: bool) -> Format:
    """The format of a JSON file: rows as lines or as one list, or the records of a logger as lines, as a list or as documents."""
    from tfcanary.look.evaluate.sources.request_logs import is_request_log

    if is_request_log(_first_object(path)):
        return Format.LOGGED
    return Format.LIST if is_list else Format.LINES


def _first_object(path: Path) -> Mapping[str, Any]:
    """The first object of a JSON file, of which no more is read than needed; empty where there is none."""
    from tfcanary.look.evaluate.sources.json_lists import objects

    size = BEGINNING
    while True:
        start = beginning(path, size)
        try:
            return next(objects(start.decode("utf-8-sig", "ignore")), {})
        except RecursionError:
            return {}
        except ValueError:
            if len(start) < size:
                return {}
            size *= 8
