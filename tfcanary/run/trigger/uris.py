"""Where versions may come from: every URI of an event is text from outside until it has passed `normalise`.

Names of candidates are plain on purpose. A bucket, a URL and a file system each read a percent sign, a backslash, a space, and `.`
and `..` between two slashes in another way; no training pipeline needs them.
"""

from __future__ import annotations

import re

from tfcanary.act.queue import LONGEST_URI
from tfcanary.core import codec
from tfcanary.core.errors import Refused

PART = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.=+@~,:-]{1,255}")
"""The form of a name between two slashes."""
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
BUCKETS = ("gs://", "s3://")
"""The schemes of buckets."""
FORMS = "gs://bucket/folder, s3://bucket/folder, or a directory such as /srv/exports"


def normalise(uri: str) -> str:
    """Return the one spelling of a folder's URI: `gs://bucket/a/b`, `s3://bucket/a/b` or `/a/b`.

    Raises Refused where the URI has none of these forms, is too long, or has a name that is not plain.
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
        root, *parts = text.removeprefix("file://").split("/")
        if root or not parts:
            raise Refused(f"{_quote(uri)}: is no absolute path and no bucket's folder; use {FORMS}")
    if wrong := next((part for part in parts if not PART.fullmatch(part)), None):
        raise Refused(f"{_quote(uri)}: {_quote(wrong)} is not taken; names have letters, digits and _ . = + @ ~ , : - only")
    if "" in parts:
        raise Refused(f"{_quote(uri)}: two slashes in a row; use {FORMS}")
    return "/".join([f"{scheme}{root}", *parts])


def is_below(uri: str, folder: str) -> bool:
    """Return whether a normalised URI lies below a normalised folder."""
    return uri.startswith(f"{folder}/")


def parts_below(uri: str, folder: str) -> list[str]:
    """Return the names between a normalised folder and a normalised URI below it."""
    return uri.removeprefix(f"{folder}/").split("/")


def _quote(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")
