"""Reads one JSON list of rows, as pandas writes them (`orient="records"`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import Format, Piece, Selection
from tfcanary.look.evaluate.sources.tables import ROWS, explain_errors, select, wanted_columns

LARGEST = 256 << 20
"""Largest file in bytes, as its text is in memory as a whole."""


def read(piece: Piece, chosen: Selection) -> Iterator[tuple[Any, str]]:
    """Read a file that is one list of objects; a row that lacks a column of the others counts as null there."""
    import pyarrow as pa

    if piece.size > LARGEST:
        raise Refused(f"{piece.name}: {piece.size} bytes; a JSON list may have at most {LARGEST}: write one object in each line")
    with explain_errors(piece.name, Format.LIST):
        rows = objects(piece.path.read_text(encoding="utf-8-sig"))
        while some := list(islice(rows, ROWS)):
            names = dict.fromkeys(name for row in some for name in row)
            batch = pa.RecordBatch.from_pydict({name: [row.get(name) for row in some] for name in names})
            yield select(batch.select(wanted_columns(list(names), chosen, piece)), chosen, piece.name), piece.name


def objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON text: of one document, of a list of objects, or of documents one after the other.

    Raises ValueError where the text is no JSON, or holds something else.
    """
    decoder, at, open_lists = json.JSONDecoder(), _skip(text, 0), 0
    while at < len(text):
        if text[at] in "[,]":
            open_lists += {"[": 1, "]": -1}.get(text[at], 0)
            if open_lists > 1:
                raise ValueError("an object is expected, not a list in a list")
            at = _skip(text, at + 1)
            continue
        document, at = decoder.raw_decode(text, at)
        if not isinstance(document, dict):
            raise ValueError(f"an object is expected, not {str(document)[:40]!r}")
        yield document
        at = _skip(text, at)
    if open_lists:
        raise ValueError("the list does not end")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
