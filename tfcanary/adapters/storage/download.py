"""Folders of files into and out of a storage: how a version gets to the bucket, and how a model gets from it.

Files travel side by side, and nothing is ever held in memory whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tfcanary.adapters.storage.blob_names import as_folder, explained, open_plain, plain_path
from tfcanary.adapters.storage.checksums import copy
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Blob, Storage

PARALLEL = 4
"""Files under way at once: enough to fill a link; a bucket holds about 40 MB of memory for each of them."""

Progress = Callable[[int], None]
"""Told the size of each file in bytes as soon as it has arrived, in the caller's thread."""


def pull(storage: Storage, prefix: str, into: Path, progress: Progress | None = None, known: dict[str, int] | None = None) -> None:
    """Copy everything in the folder `prefix` into the folder `into`, which is made where it does not exist.

    Each file is read at the generation of one listing. Files that are there already are written anew, but for those that lie there in
    the generation that `known` holds, by name; it is brought up to date. Raises Refused
    where the folder is empty or a name would leave `into`, Conflict where a file was written meanwhile.
    """
    folder = as_folder(prefix)
    blobs = storage.list(folder)
    if not blobs:
        raise Refused(f"{prefix or 'storage'}: nothing is stored there")
    # All the paths before the first byte: a bad name is refused while nothing has been written.
    known = {} if known is None else known
    targets = [(blob, plain_path(into, blob.name.removeprefix(folder))) for blob in blobs if known.get(blob.name) != blob.generation]
    _together((partial(_pull_file, storage, blob, target) for blob, target in targets), progress)
    known |= {blob.name: blob.generation for blob, _ in targets}


def push(storage: Storage, source: Path, prefix: str, names: Sequence[str], progress: Progress | None = None) -> None:
    """Copy the files `names` of the folder `source` into the folder `prefix`: in parallel, but the last one after all others.

    Nothing is overwritten: what is there already with the same content counts as pushed, so that a push may be repeated
    after it was interrupted. Raises Conflict where there is other content, Refused where a name is no plain file below `source`.
    """
    folder = as_folder(prefix)
    paths = [(plain_path(source, name), folder + name) for name in names]
    there = {blob.name: blob for blob in storage.list(folder)}
    tasks = [partial(_push_file, storage, path, name, there.get(name)) for path, name in paths]
    _together(tasks[:-1], progress)
    _together(tasks[-1:], progress)


def _together(tasks: Iterable[Callable[[], int]], progress: Progress | None) -> None:
    """Run the tasks in parallel; the first error ends it, once the files under way have ended."""
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="transfer") as pool:
        running: list[Future[int]] = [pool.submit(task) for task in tasks]
        try:
            for done in as_completed(running):
                size = done.result()
                if progress is not None:
                    progress(size)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _pull_file(storage: Storage, blob: Blob, target: Path) -> int:
    with explained(f"writing {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as into:
            return storage.read(blob.name, into, blob.generation).size


def _push_file(storage: Storage, path: Path, name: str, there: Blob | None) -> int:
    if there is None:
        try:
            return storage.write(name, path, if_generation=0).size
        except Conflict:
            # Somebody else pushes the same version at this moment, or our own write was answered too late.
            there = next((blob for blob in storage.list(name) if blob.name == name), None)
    if there is None or not _holds(there, path):
        raise Conflict(f"{name}: holds other content already; a version is written once")
    return there.size


def _holds(blob: Blob, path: Path) -> bool:
    with explained(f"reading {path}"), open_plain(path) as source:
        return copy(source) == blob.checksum
