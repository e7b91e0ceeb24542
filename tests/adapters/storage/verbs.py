"""The questions that a storage can be asked, by name, and a file of more than one piece."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

from tfcanary.adapters.storage.gcs import PIECE
from tfcanary.core.ports import Storage

NAME = "models/m/a"


def read(storage: Storage, generation: int | None = None) -> bytes:
    into = BytesIO()
    storage.read("a", into, generation)
    return into.getvalue()


def each_verb(storage: Storage, big: Path) -> dict[str, Callable[[], object]]:
    return {
        "list": storage.list,
        "read": lambda: read(storage),
        "write": lambda: storage.write("a", b"new"),
        "upload": lambda: storage.write("a", big),
        "delete": lambda: storage.delete("a"),
    }


VERBS = ["list", "read", "write", "upload", "delete"]


def big_file(folder: Path) -> Path:
    """Two whole pieces and a bit."""
    path = folder / "big"
    path.write_bytes(os.urandom(2 * PIECE + 1000))
    return path


def store(storage: Storage, source: Path, folder: str, names: Iterable[str]) -> None:
    """Write these files of `source` into a folder of the storage, where nothing of that name lies yet."""
    for name in names:
        storage.write(f"{folder}/{name}", source / name, if_generation=0)
