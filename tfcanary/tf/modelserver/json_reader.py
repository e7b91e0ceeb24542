"""Parses JSON as the original does, with RapidJSON: leniently in places where JSON is strict, and with its error messages.

It accepts `NaN`, `Inf` and `Infinity`, any bytes after the document, and bytes in strings that are no UTF-8; of equal keys in
an object the first one counts; a number that no double can hold is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, NoReturn

import orjson

from tfcanary.tf.modelserver.status import RequestError, invalid_argument

MAX_DEPTH = 200
"""The most nested lists and objects in a document that only the slow parser accepts; an array has at most 64 dimensions."""
MAX_SLOW_SIZE = 1 << 20
"""The most bytes that the slow parser reads: one mebibyte takes it a second."""

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN_TEXT = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]+")
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_WORDS = {b"n": (b"null", None), b"t": (b"true", True), b"f": (b"false", False)}
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89A-Fa-f]")
_INVALID_VALUE = "Invalid value."
_TOO_BIG = "Number too big to be stored in double."


def parse(body: bytes) -> Any:
    """Return the value that the body holds.

    Bytes of a string that are no UTF-8 become the code points of Python's error handler `surrogateescape`. Raises
    RequestError, with the original's message, where the body is no JSON.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _parse_what_orjson_refuses(body, error)
    # Each key is followed by a colon. With fewer keys than colons a key may stand twice, of which orjson keeps the last.
    colons = body.count(b":")
    if isinstance(document, dict) and colons > len(document) and colons > _count_keys(document):
        document = json.loads(body, object_pairs_hook=_first_of_each)
    return document


def _parse_what_orjson_refuses(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Parse with the decoder of the standard library, which is fast; where it may differ from the original, with the slow parser."""
    if not _SURROGATE_ESCAPE.search(body):
        try:
            text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").lstrip(" \t\n\r")
            return _LENIENT.raw_decode(text)[0]
        except (ValueError, RecursionError):
            pass
    if len(body) > MAX_SLOW_SIZE:
        raise invalid_argument(f"JSON Parse error: {_INVALID_VALUE} at offset: {error.pos}")
    return _Reader(body).document()


def _count_keys(document: Any) -> int:
    """Return the number of keys of all objects in the document."""
    keys, level = 0, [document]
    while level:
        objects = [item for item in level if type(item) is dict]
        keys += sum(map(len, objects))
        lists = (item for item in level if type(item) is list)
        level = [one for item in chain(lists, map(dict.values, objects)) if _has_containers(item) for one in item]
    return keys


def _has_containers(values: Any) -> bool:
    return not {list, dict}.isdisjoint(map(type, values))


def _first_of_each(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    return dict(reversed(pairs))


def _integer(text: str) -> int | float:
    """Return an integer; like RapidJSON, as a double where 64 bits do not hold it."""
    number = int(text)
    return number if -(2**63) <= number < 2**64 else _double(text)


def _double(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(_TOO_BIG)
    return number


_LENIENT = json.JSONDecoder(object_pairs_hook=_first_of_each, parse_int=_integer, parse_float=_double)


class _Reader:
    """Reads one document byte by byte: slow, but it accepts and refuses what RapidJSON does, at the same offset."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._depth = 0

    def document(self) -> Any:
        """Return the value that the body begins with; raises RequestError where there is none."""
        if self._body.startswith(b"\xef\xbb\xbf"):
            self._at = 3
        self._skip_space()
        if self._next() in (b"", b"\0"):
            self._fail("The document is empty.")
        return self._value()

    def _value(self) -> Any:
        first = self._next()
        if first in _WORDS:
            word, value = _WORDS[first]
            self._expect(word)
            return value
        if first == b'"':
            return self._string()
        if first in (b"[", b"{"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                self._fail(f"More than {MAX_DEPTH} nested values.")
            values = self._list() if first == b"[" else self._object()
            self._depth -= 1
            return values
        return self._number()

    def _list(self) -> list[Any]:
        values: list[Any] = []
        self._at += 1
        self._skip_space()
        if self._take(b"]"):
            return values
        while True:
            values.append(self._value())
            self._skip_space()
            if self._take(b"]"):
                return values
            if not self._take(b","):
                self._fail("Missing a comma or ] after an array element.")
            self._skip_space()

    def _object(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self._at += 1
        self._skip_space()
        if self._take(b"}"):
            return members
        while True:
            if self._next() != b'"':
                self._fail("Missing a name for object member.")
            name = self._string()
            self._skip_space()
            if not self._take(b":"):
                self._fail("Missing a colon after a name of object member.")
            self._skip_space()
            members.setdefault(name, self._value())
            self._skip_space()
            if self._take(b"}"):
                return members
            if not self._take(b","):
                self._fail("Missing a comma or } after an object member.")
            self._skip_space()

    def _string(self) -> str:
        self._at += 1
        pieces = []
        while True:
            match = _PLAIN_TEXT.match(self._body, self._at)
            assert match
            pieces.append(match.group())
            self._at = match.end()
            if self._take(b'"'):
                return b"".join(pieces).decode("utf-8", "surrogateescape")
            if self._next() == b"\\":
                pieces.append(self._escape())
            elif self._next() in (b"", b"\0"):
                self._fail("Missing a closing quotation mark in string.")
            else:
                self._fail("Invalid escape character in string.")

    def _escape(self) -> bytes:
        begin = self._at
        letter = self._body[begin + 1 : begin + 2]
        self._at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != b"u":
            self._fail("Invalid escape character in string.", begin)
        point = self._hexadecimal(begin)
        if 0xD800 <= point < 0xDC00:
            if not self._take(b"\\u"):
                self._fail("The surrogate pair in string is invalid.", begin)
            low = self._hexadecimal(begin)
            if not 0xDC00 <= low < 0xE000:
                self._fail("The surrogate pair in string is invalid.", begin)
            point = 0x10000 + (point - 0xD800 << 10 | low - 0xDC00)
        return chr(point).encode("utf-8", "surrogatepass")

    def _hexadecimal(self, begin: int) -> int:
        match = _HEX.match(self._body, self._at)
        if match is None:
            self._fail("Incorrect hex digit after \\u escape in string.", begin)
        self._at = match.end()
        return int(match.group(), 16)

    def _number(self) -> int | float:
        begin = self._at
        minus = self._take(b"-")
        if self._next() in (b"N", b"I"):
            return self._no_number(minus)
        if not self._take(b"0") and not self._skip_digits():
            self._fail(_INVALID_VALUE)
        is_whole = True
        if self._take(b"."):
            is_whole = False
            if not self._skip_digits():
                self._fail("Miss fraction part in number.")
        if self._take(b"e") or self._take(b"E"):
            is_whole = False
            if not self._take(b"-"):
                self._take(b"+")
            if not self._skip_digits():
                self._fail("Miss exponent in number.")
        text = self._body[begin : self._at].decode()
        # An integer of more digits than this is a double; int() would refuse one of 4300 digits.
        try:
            return _integer(text) if is_whole and len(text) <= 20 else _double(text)
        except ValueError:
            self._fail(_TOO_BIG, begin)

    def _no_number(self, minus: bool) -> float:
        if self._next() == b"N":
            self._expect(b"NaN")
            return float("nan")
        self._expect(b"Inf")
        if self._next() == b"i":
            self._expect(b"inity")
        return float("-inf" if minus else "inf")

    def _expect(self, word: bytes) -> None:
        """Skip a word; raises RequestError at the first byte that differs from it."""
        for octet in word:
            if not self._take(bytes((octet,))):
                self._fail(_INVALID_VALUE)

    def _skip_space(self) -> None:
        match = _SPACE.match(self._body, self._at)
        assert match
        self._at = match.end()

    def _skip_digits(self) -> bool:
        """Skip digits, and tell whether there were any."""
        match = _DIGITS.match(self._body, self._at)
        if match:
            self._at = match.end()
        return match is not None

    def _next(self) -> bytes:
        """Return the next byte; empty at the end."""
        return self._body[self._at : self._at + 1]

    def _take(self, text: bytes) -> bool:
        """Skip the text where it comes next, and tell whether it did."""
        if not self._body.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _fail(self, message: str, offset: int | None = None) -> NoReturn:
        raise RequestError("INVALID_ARGUMENT", f"JSON Parse error: {message} at offset: {self._at if offset is None else offset}")
