"""Copies a folder of a storage to this machine, several files at a time and none of them in memory as a whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tfcanary.adapters.storage.blob_names import as_folder, explain_os_errors, plain_path
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Blob, Storage

PARALLEL = 4
"""Files that are copied at a time: enough to fill a link; a bucket's client holds about 40 MB of memory for each of them."""


def pull(storage: Storage, prefix: str, into: Path, known: dict[str, int] | None = None) -> None:
    """Copy everything in the folder `prefix` of a storage into the local folder `into`, which is made where it does not exist.

    Each file is read at the generation of one listing, and overwrites what lies there. `known` maps names to the generations that
    `into` holds already: those files are not copied again, and the mapping is brought up to date.
    Raises Refused where the folder is empty or a name would leave `into`, Conflict where a file was written meanwhile.
    """
    folder = as_folder(prefix)
    blobs = storage.list(folder)
    if not blobs:
        raise Refused(f"{prefix or 'storage'}: nothing is stored there")
    # All the paths before the first byte: a bad name is refused while nothing has been written.
    known = {} if known is None else known
    targets = [(blob, plain_path(into, blob.name.removeprefix(folder))) for blob in blobs if known.get(blob.name) != blob.generation]
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="pull") as pool:
        running = [pool.submit(_pull_file, storage, blob, target) for blob, target in targets]
        try:
            for copied in as_completed(running):
                copied.result()
        finally:
            # The first error ends the copying, once the files that are being copied are complete.
            pool.shutdown(wait=False, cancel_futures=True)
    known |= {blob.name: blob.generation for blob, _ in targets}


def _pull_file(storage: Storage, blob: Blob, target: Path) -> None:
    with explain_os_errors(f"writing {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as into:
            storage.read(blob.name, into, blob.generation)
