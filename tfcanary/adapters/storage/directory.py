"""Storage in a directory, for the local platform and for buckets that are mounted.

Model servers read the same files, so the directory holds nothing but what was written, beside one dot-folder at the root. A write
goes to a temporary file in that dot-folder, is flushed to the disk, and takes its place by a rename.

The generation of a file is its time of modification in microseconds, as in Cloud Storage. It is set under a lock and is always above
the last one, which the lock file holds: so two writes within one tick of the clock, a clock that is set back, and a name that is
deleted and written again still have different generations.
"""

from __future__ import annotations

import fcntl
import io
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from tfcanary.adapters.storage.blob_names import OWN_FOLDER, check_name, check_prefix, explain_os_errors, open_plain, plain_path
from tfcanary.adapters.storage.checksums import ChecksumIndex, copy
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Blob

UNFINISHED_AGE = 24 * 3600.0
"""Seconds after which an unfinished write is deleted: no write takes a day."""


class DirectoryStorage:
    """`ports.Storage` below one directory, which need not exist yet. Threads and processes of one machine may share it."""

    def __init__(self, root: Path) -> None:
        # The root may be reached through a link; nothing below it may be a link.
        self._root = Path(os.path.realpath(root))
        self._own = self._root / OWN_FOLDER
        self._index = ChecksumIndex(self._own / "checksums")

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        """As `ports.Storage.list`. Raises Refused where it finds a link, or anything else but a plain file: a model server would follow it."""
        folder, slash, _ = check_prefix(prefix).rpartition("/")
        with explain_os_errors(f"listing {self._root}"):
            if folder:
                plain_path(self._root, folder)
            names = sorted(name for name in self._names(folder + slash) if name.startswith(prefix))
            blobs = (self._blob(name) for name in names)
            return tuple(blob for blob in blobs if blob is not None)

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
        """As `ports.Storage.read`. Raises Refused also where the content is not what was written: the disk damaged it."""
        with explain_os_errors(f"reading {name} in {self._root}"), open_plain(plain_path(self._root, name)) as source:
            before = os.fstat(source.fileno())
            if generation not in (None, _generation(before)):
                raise Conflict(f"{self._root}/{name}: is generation {_generation(before)}, not {generation}")
            checksum = copy(source, into)
            if not _same_content(before, os.fstat(source.fileno())):
                raise Conflict(f"{self._root}/{name}: was changed while it was read")
            if (stored := self._index.get(name, before)) not in (None, checksum):
                raise Refused(f"{self._root}/{name}: is damaged: its checksum is {checksum}, and was {stored}")
            return Blob(name, before.st_size, _generation(before), checksum)

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Blob:
        """As `ports.Storage.write`. Raises Refused where the name is a folder, or a folder in its path is a file."""
        target = plain_path(self._root, name)
        with (
            explain_os_errors(f"writing {name} in {self._root}"),
            self._temporary_copy(content) as (temporary, checksum),
            self._lock() as lock,
        ):
            present = self._expect(name, if_generation)
            generation = _next_generation(lock, present)
            _stamp(temporary, generation)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary, target)
            _flush_folder(target.parent)
            stat = target.lstat()
            self._index.put(name, stat, checksum)
        return Blob(name, stat.st_size, _generation(stat), checksum)

    def delete(self, name: str, if_generation: int | None = None) -> None:
        """As `ports.Storage.delete`. Folders that become empty are removed too: a model server would take one for a version."""
        target = plain_path(self._root, name)
        with explain_os_errors(f"deleting {name} in {self._root}"):
            if target.exists():
                self._delete(name, target, if_generation)

    def _delete(self, name: str, target: Path, if_generation: int | None) -> None:
        with self._lock():
            if not self._expect(name, if_generation, may_be_missing=True):
                return
            target.unlink()
            self._index.drop(name)
            with suppress(OSError):
                for folder in target.relative_to(self._root).parents[:-1]:
                    (self._root / folder).rmdir()

    def _names(self, folder: str) -> Iterator[str]:
        try:
            entries = tuple(os.scandir(self._root / folder))
        except (FileNotFoundError, NotADirectoryError):
            return  # it does not exist, or was removed meanwhile
        for entry in entries:
            if entry.name == OWN_FOLDER:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._names(f"{folder}{entry.name}/")
            else:
                yield folder + entry.name

    def _blob(self, name: str) -> Blob | None:
        try:
            with open_plain(self._root / check_name(name)) as source:
                stat = os.fstat(source.fileno())
                checksum = self._index.get(name, stat)
                if checksum is None:
                    checksum = copy(source)
                    self._index.put(name, stat, checksum)
        except FileNotFoundError:
            return None  # it was removed after it was listed
        return Blob(name, stat.st_size, _generation(stat), checksum)

    def _expect(self, name: str, if_generation: int | None, may_be_missing: bool = False) -> int:
        """The present generation, 0 where the name does not exist. Raises Conflict where `if_generation` is another one."""
        try:
            stat = (self._root / name).lstat()
        except FileNotFoundError:
            present = 0
        else:
            if not S_ISREG(stat.st_mode):
                raise Refused(f"{self._root}/{name}: is not a plain file")
            present = _generation(stat)
        if if_generation in (None, present) or (may_be_missing and not present):
            return present
        raise Conflict(
            f"{self._root}/{name}: is generation {present}, not {if_generation}" if present else f"{self._root}/{name}: does not exist"
        )

    @contextmanager
    def _temporary_copy(self, content: bytes | Path) -> Iterator[tuple[Path, str]]:
        """Write the content into a temporary file, flushed to the disk; yields its path and its checksum."""
        unfinished = self._own / "unfinished"
        unfinished.mkdir(parents=True, exist_ok=True)
        _sweep(unfinished)
        temporary = unfinished / uuid.uuid4().hex
        try:
            # Not by `tempfile`: the user that a model server runs as cannot read its files.
            with (
                temporary.open("xb") as into,
                open_plain(content) if isinstance(content, Path) else io.BytesIO(content) as source,
            ):
                checksum = copy(source, into)
                into.flush()
                os.fsync(into.fileno())
            yield temporary, checksum
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[BinaryIO]:
        """Hold the directory's lock, for a comparison and a rename only, never while content is copied."""
        self._own.mkdir(parents=True, exist_ok=True)
        with open(self._own / "lock", "a+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock


def _generation(stat: os.stat_result) -> int:
    return max(1, stat.st_mtime_ns // 1000)


def _same_content(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _next_generation(lock: BinaryIO, present: int) -> int:
    lock.seek(0)
    last = int(lock.read() or 0)
    generation = max(time.time_ns() // 1000, last + 1, present + 1)
    lock.truncate(0)
    lock.write(str(generation).encode())
    return generation


def _stamp(file: Path, generation: int) -> None:
    os.utime(file, ns=(generation * 1000, generation * 1000))
    if _generation(file.stat()) != generation:
        raise Refused(
            f"{file}: the file system does not keep times to the microsecond, so two writes could look like one; use another file system"
        )


def _flush_folder(folder: Path) -> None:
    """Flush a folder to the disk: without this a power failure may undo a rename."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(unfinished: Path) -> None:
    """Delete what processes that were killed have left."""
    oldest = time.time() - UNFINISHED_AGE
    for entry in os.scandir(unfinished):
        with suppress(FileNotFoundError):
            if entry.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(entry.path)
