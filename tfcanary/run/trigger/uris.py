"""Where versions may come from: every URI of an event is text from outside until it has passed `normalise`.

Names are those that a release takes: whatever a storage can hold, spaces and other alphabets as well. Refused is what only looks like one
name: a bucket, a URL and a file system each read a backslash, `?`, `#` and an encoded character in another way.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from tfcanary.act.queue import LONGEST_URI
from tfcanary.adapters.storage.blob_names import check_name
from tfcanary.core import codec
from tfcanary.core.errors import Refused

AMBIGUOUS = re.compile(r"[\\?#]|%[0-9A-Fa-f]{2}")
"""What a URL reads otherwise than a file system."""
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
BUCKETS = ("gs://", "s3://")
"""The schemes of buckets."""
FORMS = "gs://bucket/folder, s3://bucket/folder, or a directory such as /srv/exports"
REFUSED = r"\, ?, #, %.. of an encoded character, $( and {{"
"""What no name may have, for people."""


def is_name(text: str) -> bool:
    """Return whether a text may be a name between two slashes."""
    if "/" in text or not text.isprintable() or AMBIGUOUS.search(text) or any(mark in text for mark in codec.EXPANDED):
        return False
    try:
        check_name(text)
    except Refused:
        return False
    return True


def normalise(uri: str) -> str:
    """Return the one spelling of a folder's URI: `gs://bucket/a/b`, `s3://bucket/a/b` or `/a/b`.

    Raises Refused where the URI has none of these forms, is too long, or has a name that is not taken.
    """
    codec.decode(str, uri, at="model")
    if len(uri) > LONGEST_URI:
        raise Refused(f"{uri[:60]!r}...: has {len(uri)} characters; at most {LONGEST_URI} are taken")
    text = uri.removesuffix("/")
    scheme = next((one for one in BUCKETS if text.startswith(one)), "")
    if scheme:
        root, *parts = text.removeprefix(scheme).split("/")
        if not BUCKET.fullmatch(root):
            raise Refused(f"{_quote(uri)}: {_quote(root)} is no bucket name; use {FORMS}")
    else:
        root, *parts = (unquote(text.removeprefix("file://")) if text.startswith("file://") else text).split("/")
        if root or not parts:
            raise Refused(f"{_quote(uri)}: is no absolute path and no bucket's folder; use {FORMS}")
    if "" in parts:
        raise Refused(f"{_quote(uri)}: two slashes in a row; use {FORMS}")
    if wrong := next((part for part in parts if not is_name(part)), None):
        raise Refused(f"{_quote(uri)}: {_quote(wrong)} is not taken; a name is printable text, not '.' or '..', without {REFUSED}")
    return "/".join([f"{scheme}{root}", *parts])


def is_below(uri: str, folder: str) -> bool:
    """Return whether a normalised URI lies below a normalised folder."""
    return uri.startswith(f"{folder}/")


def parts_below(uri: str, folder: str) -> list[str]:
    """Return the names between a normalised folder and a normalised URI below it."""
    return uri.removeprefix(f"{folder}/").split("/")


def _quote(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")
