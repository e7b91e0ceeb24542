"""Checks names of objects, and turns them into paths on a disk.

A name comes from a plan, a model or a bucket's listing, none of which is trusted: each name is checked here before it becomes a path
or a request.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tfcanary.core.errors import Refused, Unavailable

OWN_FOLDER = ".tfcanary-storage"
"""The folder where a directory keeps its lock, its checksums and unfinished writes. No listing shows it, no name leads into it."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST = 1024
"""Bytes of a name, at most: Cloud Storage and S3 take no longer ones."""

LONGEST_PART = 255
"""Bytes between two `/`, at most: file systems take no longer ones."""


def check_name(name: str) -> str:
    """Return the name. Raises Refused where it is not relative, leaves its root, or cannot be stored on every kind of storage."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise Refused(f"name {name!r}: must be relative with '/' between its parts, none of them empty, '.' or '..'")
    if OWN_FOLDER in parts:
        raise Refused(f"name {name!r}: {OWN_FOLDER} is reserved")
    if CONTROL.search(name) or _is_long(name, LONGEST) or any(_is_long(part, LONGEST_PART) for part in parts):
        right = f"at most {LONGEST} bytes of UTF-8, {LONGEST_PART} between two '/', without control characters"
        raise Refused(f"name {name[:80]!r}: must be {right}")
    return name


def check_prefix(prefix: str) -> str:
    """Return the prefix of names, which may be empty or end in `/`. Raises Refused where a name may not begin with it."""
    if prefix:
        check_name(prefix.removesuffix("/"))
    return prefix


def as_folder(prefix: str) -> str:
    """Return the prefix of all names inside a folder: empty, or with `/` at its end. Raises Refused as `check_name` does."""
    return f"{check_name(prefix.removesuffix('/'))}/" if prefix else ""


def plain_path(root: Path, name: str) -> Path:
    """The path of a name below `root`. Raises Refused where a part of it is a link, which could lead anywhere."""
    path = root
    for part in check_name(name).split("/"):
        path = path / part
        with explain_os_errors("looking for links"):
            linked = path.is_symlink()
        if linked:
            raise Refused(f"{path}: is a link; only plain files and folders are read or written")
    return path


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading. Raises Refused for links, folders, pipes and devices, OSError where it is missing."""
    if path.is_symlink():
        raise Refused(f"{path}: is a link; only plain files are read")
    # A pipe without a writer would block the open itself.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Refused(f"{path}: is not a plain file")
    return os.fdopen(handle, "rb", buffering=0)


@contextmanager
def explain_os_errors(what: str) -> Iterator[None]:
    """Turn an OSError into Refused where a further try would meet it again, else into Unavailable; `what` begins the sentence."""
    try:
        yield
    except (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise Refused(f"{what}: {_reason(error)}") from error
    except OSError as error:
        raise Unavailable(f"{what}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def _is_long(name: str, longest: int) -> bool:
    try:
        return len(name.encode()) > longest
    except UnicodeEncodeError:
        return True  # half a character, which has no encoding
