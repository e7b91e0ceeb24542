"""Storage in a Cloud Storage bucket, through Google's client.

The first request imports the client, which takes half a second. `STORAGE_EMULATOR_HOST` points the client at an emulator.
"""

from __future__ import annotations

import base64
import io
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from tfcanary.adapters.storage.blob_names import check_name, check_prefix, explain_os_errors, open_plain
from tfcanary.adapters.storage.checksums import as_text, copy, copy_pieces
from tfcanary.adapters.storage.conditional_writes import RACE, ConditionalWrites
from tfcanary.adapters.storage.gcs_errors import explain_google_errors
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.ports import Blob
from tfcanary.core.retry import attempts

PIECE = 8 << 20
"""Bytes of one request, and of a file in memory at a time. Files up to this size are sent in a single request."""

DEADLINE = 30.0
"""Seconds for which a request is tried again. A watcher that waited longer than this would lose its lease (`plan.DeployPlan.lease`)."""

WRITE = "tfcanary-write"
"""Key of an object's metadata: the random id of the write that made it."""


class GcsStorage(ConditionalWrites):
    """`ports.Storage` in a folder of a Cloud Storage bucket. Threads may share an instance."""

    def __init__(self, bucket: str, folder: str = "", deadline: float = DEADLINE) -> None:
        """`folder` is empty or ends in `/`; `deadline` is in seconds, for one request with all its retries."""
        self._name = bucket
        self._folder = folder
        self._deadline = deadline
        # Half of the time, so that a server that neither answers nor closes the connection is asked at least twice.
        self._timeout = deadline / 2

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        """As `ports.Storage.list`. Raises Refused where the bucket does not exist."""
        start = self._folder + check_prefix(prefix)
        with self._explain_errors(prefix, "storage.objects.list"):
            objects = self._client.list_blobs(
                self._name,
                prefix=start,
                fields="items(name,size,generation,crc32c),nextPageToken",
                retry=self._retry,
                timeout=self._timeout,
            )
            # Consoles and TensorFlow's file system write empty objects called `folder/` to show empty folders.
            blobs = [self._blob(one) for one in objects if not one.name.endswith("/")]
        return tuple(sorted(blobs, key=lambda blob: blob.name))

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
        """As `ports.Storage.read`. Raises Conflict also where the name is written anew while it is read."""
        with self._explain_errors(check_name(name), "storage.objects.get"):
            blob, pieces = self._open_pieces(name, generation)
            checksum = copy_pieces(pieces, into)
        if checksum != blob.checksum:
            raise Unavailable(f"{self._uri(name)}: arrived damaged from {self._host}: {checksum} instead of {blob.checksum}")
        return blob

    @cached_property
    def _client(self) -> Any:
        from google.cloud import storage

        # Without this the client requests, in the background, a description of the bucket that only its traces would show.
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        # No call here needs a project, and looking for one fails on machines without a Google configuration.
        return storage.Client(project=None)

    @cached_property
    def _retry(self) -> Any:
        """Google's own rule of what is tried again, with jitter; pauses rise from 0.2 to 5 s."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        return DEFAULT_RETRY.with_delay(initial=0.2, maximum=5.0, multiplier=2.0).with_timeout(self._deadline)

    @property
    def _host(self) -> str:
        return os.environ.get("STORAGE_EMULATOR_HOST") or "storage.googleapis.com"

    def _uri(self, name: str) -> str:
        return f"gs://{self._name}/{self._folder}{name}"

    def _explain_errors(self, name: str, permission: str) -> AbstractContextManager[None]:
        return explain_google_errors(self._uri(name), self._host, permission)

    def _find(self, name: str) -> Any | None:
        return self._client.bucket(self._name).get_blob(self._folder + name, retry=self._retry, timeout=self._timeout)

    def _generation(self, name: str) -> int:
        with self._explain_errors(check_name(name), "storage.objects.get"):
            found = self._find(name)
            return 0 if found is None else self._blob(found).generation

    def _blob(self, found: Any) -> Blob:
        if None in (found.size, found.generation, found.crc32c):
            raise Unavailable(f"{self._uri('')}{found.name}: {self._host} does not tell its size, generation or CRC32C")
        checksum = as_text(int.from_bytes(base64.b64decode(found.crc32c), "big"))
        return Blob(found.name.removeprefix(self._folder), found.size, found.generation, checksum)

    def _open_pieces(self, name: str, generation: int | None) -> tuple[Blob, Iterator[bytes]]:
        """The object and its pieces, of which the first has arrived: until then nothing is written, and a name that was written anew is tried again."""
        for _ in attempts(RACE):
            found = self._find(name)
            if found is None:
                raise Refused(f"{self._uri(name)}: does not exist")
            blob = self._blob(found)
            if generation not in (None, blob.generation):
                raise Conflict(f"{self._uri(name)}: is generation {blob.generation}, not {generation}")
            pieces = self._pieces(blob)
            with suppress(Conflict):
                return blob, chain((next(pieces, b""),), pieces)
        raise self._busy(name)

    def _pieces(self, blob: Blob) -> Iterator[bytes]:
        """Yield the content of this generation. Each piece is tried again by itself, so none is written twice."""
        from google.api_core.exceptions import NotFound

        for start in range(0, blob.size, PIECE):
            end = min(start + PIECE, blob.size)
            try:
                yield self._retry(self._piece)(blob, start, end)
            except NotFound as error:
                raise Conflict(f"{self._uri(blob.name)}: generation {blob.generation} is gone: it was written anew meanwhile") from error

    def _piece(self, blob: Blob, start: int, end: int) -> bytes:
        # A new handle: a used one loses the generation where an answer does not repeat it.
        source = self._client.bucket(self._name).blob(self._folder + blob.name, generation=blob.generation)
        # Raw: an object that is stored compressed is also listed, checked and served compressed.
        piece: bytes = source.download_as_bytes(
            start=start, end=end - 1, raw_download=True, checksum=None, retry=None, timeout=self._timeout, single_shot_download=True
        )
        if len(piece) != end - start:
            raise ConnectionError(f"bytes {start} to {end}: {len(piece)} arrived")
        return piece

    def _upload(self, name: str, content: bytes | Path, if_generation: int) -> Blob:
        with explain_os_errors(f"reading {content}" if isinstance(content, Path) else name), _open(content) as source:
            checksum = copy(source)
            size = source.tell()
            source.seek(0)
            with self._explain_errors(name, "storage.objects.create (and storage.objects.delete, to overwrite)"):
                blob = self._blob(self._send(name, source, size, checksum, if_generation))
                if blob.checksum == checksum:
                    return blob
        with suppress(Conflict):
            self._remove(name, blob.generation)
        raise Unavailable(f"{self._uri(name)}: arrived damaged at {self._host}: {blob.checksum} instead of {checksum}; it was removed")

    def _send(self, name: str, source: BinaryIO, size: int, checksum: str, if_generation: int) -> Any:
        from google.api_core.exceptions import PreconditionFailed

        target = self._client.bucket(self._name).blob(self._folder + name, chunk_size=PIECE)
        target.metadata = {WRITE: uuid.uuid4().hex}
        try:
            target.upload_from_file(
                source,
                size=size,
                content_type="application/octet-stream",
                if_generation_match=if_generation,
                # In a single request the client sends the checksum along, and the server refuses other content. For several
                # pieces it would compare afterwards, and delete whatever is there by then; so we give the server our checksum.
                checksum="crc32c" if size <= PIECE else None,
                crc32c_checksum_value=base64.b64encode(bytes.fromhex(checksum.removeprefix("crc32c:"))).decode(),
                retry=self._retry,
                timeout=self._timeout,
            )
        except PreconditionFailed:
            # Our own first try may have arrived, with its answer lost.
            found = self._find(name)
            if found is None or (found.metadata or {}).get(WRITE) != target.metadata[WRITE]:
                raise
            return found
        return target

    def _remove(self, name: str, generation: int) -> None:
        from google.api_core.exceptions import NotFound

        with self._explain_errors(name, "storage.objects.delete"), suppress(NotFound):
            self._client.bucket(self._name).delete_blob(
                self._folder + name, if_generation_match=generation, retry=self._retry, timeout=self._timeout
            )


def _open(content: bytes | Path) -> BinaryIO:
    return open_plain(content) if isinstance(content, Path) else io.BytesIO(content)
