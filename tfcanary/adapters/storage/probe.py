"""Finds out whether a bucket or directory can be listed, written, read and deleted, by doing all four; nothing is left behind."""

from __future__ import annotations

import io
import shutil
import uuid
from contextlib import suppress

from tfcanary.adapters.storage import folder_of, open_storage
from tfcanary.adapters.storage.blob_names import explain_os_errors
from tfcanary.core.errors import Refused, TfcanaryError, Unavailable
from tfcanary.core.ports import Storage

NAME = "probe"
CONTENT = b"tfcanary doctor"


def probe(uri: str) -> None:
    """Do all that a release does with a storage, in a folder of its own.

    Raises Refused where something is not allowed or a directory is missing, Unavailable where the storage does not answer or does not
    keep its promises.
    """
    root = folder_of(uri)
    if root and not root.is_dir():
        raise Refused(f"{root}: is no directory on this machine; make it, or mount it here too")
    within = f"{uri.rstrip('/')}/tfcanary-doctor-{uuid.uuid4().hex[:12]}"
    open_storage(uri).list(within.rpartition("/")[2])
    try:
        _try_all(open_storage(within), within)
    finally:
        if folder := folder_of(within):
            with explain_os_errors(f"deleting {folder}"), suppress(FileNotFoundError):
                shutil.rmtree(folder)


def _try_all(storage: Storage, at: str) -> None:
    written = storage.write(NAME, CONTENT, if_generation=0)
    try:
        into = io.BytesIO()
        storage.read(NAME, into, generation=written.generation)
        if into.getvalue() != CONTENT:
            raise Unavailable(f"{at}/{NAME}: the content that was read is not what was written")
    except TfcanaryError:
        with suppress(TfcanaryError):
            storage.delete(NAME)
        raise
    storage.delete(NAME, if_generation=written.generation)
    if storage.list():
        raise Unavailable(f"{at}/{NAME}: was deleted, and is still listed")
