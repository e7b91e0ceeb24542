"""Copies a folder of a storage to this machine, several files at a time and none of them in memory as a whole.

Steps read models and data of a bucket by it, and the init container of a model server's pod reads the version that it will serve.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tfcanary.adapters.storage import open_storage
from tfcanary.adapters.storage.blob_names import as_folder, explain_os_errors, plain_path
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.ports import Blob, Storage
from tfcanary.core.retry import Pauses, attempts
from tfcanary.look.savedmodel import Manifest, manifest

PARALLEL = 4
"""Files that are copied at a time: enough to fill a link; a bucket's client holds about 40 MB of memory for each of them."""
PAUSES = Pauses(first=2.0, longest=20.0, attempts=4)
"""Between two copies of a version: with a storage's own patience for each request, an outage of two minutes is waited out."""


def pull(storage: Storage, prefix: str, into: Path, known: dict[str, int] | None = None, uri: str = "") -> None:
    """Copy everything in the folder `prefix` of a storage into the local folder `into`, which is made where it does not exist.

    Each file is read at the generation of one listing, and overwrites what lies there. `known` maps names to the generations that
    `into` holds already: those files are not copied again, and the mapping is brought up to date. `uri` is what people call the folder.
    Raises Refused where the folder is empty or a name would leave `into`, Conflict where a file was written meanwhile.
    """
    folder = as_folder(prefix)
    blobs = storage.list(folder)
    if not blobs:
        raise Refused(f"{uri or prefix or 'storage'}: nothing is stored there")
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


def pull_version(uri: str, digest: str, into: Path) -> Manifest:
    """Copy the version at `uri`, a folder called by its number, into the folder of that number in `into`; returns its manifest.

    That folder appears complete or not at all; what a copy before has left is removed. Raises Refused where the files have another digest,
    where there are none, or where they may not be read, Unavailable where the storage does not answer.
    """
    base, _, number = uri.rstrip("/").rpartition("/")
    if not (number.isdecimal() and number.isascii()):
        raise Refused(f"{uri}: must be a version, a folder that is called by its number")
    target, partial = into / number, into / f".{number}"
    storage = open_storage(base)
    with explain_os_errors(f"writing {into}"):
        _remove(target, partial)
        _pull_patiently(storage, uri, number, partial)
        found = manifest(partial)
        if found.digest != digest:
            _remove(partial)
            raise Refused(f"{uri}: has the digest {found.digest}, and {digest} was validated: its files are not the ones that were pushed")
        partial.rename(target)
    return found


def _pull_patiently(storage: Storage, uri: str, number: str, into: Path) -> None:
    for attempt in attempts(PAUSES):
        try:
            return pull(storage, number, into, uri=uri)
        except (Unavailable, Conflict) as error:
            _remove(into)
            if attempt.is_last:
                raise Unavailable(f"{uri}: could not be copied in {attempt.number} attempts: {error}") from error


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
