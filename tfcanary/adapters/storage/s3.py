"""Storage in an S3 bucket: AWS's, or that of a compatible server such as MinIO, SeaweedFS or Ceph.

The client is botocore, with AWS's own configuration: endpoint, region, addressing style and credentials come from the environment
(AWS_ENDPOINT_URL_S3, AWS_DEFAULT_REGION, ...), from the file that AWS_CONFIG_FILE names, or in a pod from CONFIG. A server with an endpoint of its
own is addressed by paths, unless the configuration says otherwise. The first request imports the client, which takes a second.

S3 has no generations. The generation of an object is computed from its time of writing, the random id of the write, and its ETag, which
the server computes from the content; time, id and checksum lie in the object's metadata. So each write has a generation of its own, and
nobody can replace the content and keep the generation. The server compares ETags (`If-Match`, `If-None-Match`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from tfcanary import __version__
from tfcanary.adapters.storage.blob_names import check_name, check_prefix, explain_os_errors, open_plain
from tfcanary.adapters.storage.checksums import as_text, copy, copy_pieces, pieces
from tfcanary.adapters.storage.conditional_writes import RACE, ConditionalWrites
from tfcanary.adapters.storage.s3_errors import (
    LOST_RACE,
    MISSING,
    TransientFailure,
    code_of,
    explain_s3_errors,
    mark_transient_failures,
    status_of,
)
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.plan.cluster import S3_SECRETS
from tfcanary.core.ports import Blob
from tfcanary.core.retry import Pauses, attempts

CONFIG = Path(S3_SECRETS, "config")
"""AWS's configuration in a pod: the key `config` of the Secret S3_SECRET. Used where AWS_CONFIG_FILE is not set."""
PIECE = 8 << 20
"""Bytes of one request, and of a file in memory at a time. Larger files are sent in parts."""
MOST_PARTS = 10_000
"""Parts of one object, at most: S3 takes no more."""
DEADLINE = 30.0
"""Seconds for which a request is tried again. A watcher that waited longer than this would lose its lease (`plan.DeployPlan.lease`)."""
PAUSES = Pauses(first=0.2, longest=5.0)
"""Between two attempts of one request."""
PARALLEL = 8
"""Objects of a listing whose metadata are read at a time."""
WRITE, CHECKSUM = "tfcanary-write", "tfcanary-crc32c"
"""Keys of an object's metadata: the time (milliseconds since the epoch) and the random id of the write that made it, and its checksum."""
WRITE_FORM, CHECKSUM_FORM = re.compile(r"(\d{1,16})-[0-9a-f]{32}"), re.compile(r"[0-9a-f]{8}")
SETTLE_TIME = timedelta(seconds=2)
"""Age from which an object's time of modification, which has whole seconds, tells two writes apart."""


@dataclass(frozen=True, slots=True)
class _Object:
    """An object as S3 shows it."""

    blob: Blob
    etag: str
    write: str


class S3Storage(ConditionalWrites):
    """`ports.Storage` in a folder of an S3 bucket. Threads may share an instance."""

    def __init__(self, bucket: str, folder: str = "", deadline: float = DEADLINE) -> None:
        """`folder` is empty or ends in `/`; `deadline` is in seconds, for one request with all its retries."""
        self._bucket = bucket
        self._folder = folder
        self._deadline = deadline
        self._known: dict[tuple[str, str, datetime], Blob] = {}
        self._has_conditions = False

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        """As `ports.Storage.list`. Raises Refused where the bucket does not exist.

        The checksum of an object that another program wrote is its ETag: S3 keeps no CRC32C for it.
        """
        start = self._folder + check_prefix(prefix)
        with self._explain_errors(prefix, "s3:ListBucket and s3:GetObject"):
            # Consoles write empty objects called `folder/` to show empty folders.
            entries = [entry for entry in self._entries(start) if not entry["Key"].endswith("/")]
            with ThreadPoolExecutor(PARALLEL, thread_name_prefix="list") as threads:
                blobs = list(threads.map(self._listed_blob, entries))
        return tuple(sorted((blob for blob in blobs if blob is not None), key=lambda blob: blob.name))

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
        """As `ports.Storage.read`. Raises Conflict also where the name is written anew while it is read."""
        with self._explain_errors(check_name(name), "s3:GetObject"):
            blob, content = self._open_pieces(name, generation)
            checksum = copy_pieces(content, into)
        if blob.checksum.startswith("crc32c:") and checksum != blob.checksum:
            raise Unavailable(f"{self._uri(name)}: arrived damaged from {self._host}: {checksum} instead of {blob.checksum}")
        return blob

    @cached_property
    def _client(self) -> Any:
        try:
            import botocore.session
        except ImportError as error:
            raise Refused(f"{self._uri('')}: S3 needs its client: pip install 'tfcanary[s3]'") from error
        with explain_s3_errors(self._uri(""), "its server", ""):
            return self._connect(botocore.session.get_session())

    def _connect(self, session: Any) -> Any:
        from botocore.config import Config

        if reads_secret():
            session.set_config_variable("config_file", str(CONFIG))
        # Half of the time, so that a server that neither answers nor closes the connection is asked at least twice.
        seconds = self._deadline / 2
        config = Config(
            connect_timeout=seconds,
            read_timeout=seconds,
            # Requests are tried again here, where their time is limited as a whole.
            retries={"total_max_attempts": 1},
            # Not every compatible server knows the client's newer checksums: content is sent with its MD5, and kept with its CRC32C.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=2 * PARALLEL,
            user_agent_extra=f"tfcanary/{__version__}",
        )
        return session.create_client("s3", config=config)

    @property
    def _host(self) -> str:
        return str(self._client.meta.endpoint_url)

    def _uri(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._folder}{name}"

    def _explain_errors(self, name: str, permission: str) -> AbstractContextManager[None]:
        return explain_s3_errors(self._uri(name), self._host, permission)

    def _call(self, operation: str, **arguments: Any) -> Any:
        """One request about the bucket; what may pass is tried again within the deadline."""
        return self._again(lambda: getattr(self._client, operation)(Bucket=self._bucket, **arguments))

    def _again(self, ask: Callable[[], Any]) -> Any:
        failure: TransientFailure | None = None
        for _ in attempts(PAUSES, self._deadline):
            try:
                with mark_transient_failures():
                    return ask()
            except TransientFailure as error:
                failure = error
        assert failure
        raise failure

    def _entries(self, prefix: str) -> Iterator[Any]:
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **more)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _listed_blob(self, entry: Mapping[str, Any]) -> Blob | None:
        """The object of a listing's entry; None where it was deleted meanwhile. An entry that cannot have changed is not read again."""
        key = (entry["Key"], entry["ETag"], entry["LastModified"])
        if key in self._known:
            return self._known[key]
        name = entry["Key"].removeprefix(self._folder)
        head = self._head(name)
        if head is None:
            return None
        blob = self._object(name, head).blob
        date = head["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        if date and head["ETag"] == entry["ETag"] and parsedate_to_datetime(date) - head["LastModified"] >= SETTLE_TIME:
            self._known[key] = blob
        return blob

    def _head(self, name: str) -> Any | None:
        """The answer about an object; None where it does not exist."""
        from botocore.exceptions import ClientError

        try:
            return self._call("head_object", Key=self._folder + name)
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise

    def _find(self, name: str) -> _Object | None:
        head = self._head(name)
        return None if head is None else self._object(name, head)

    def _object(self, name: str, head: Mapping[str, Any]) -> _Object:
        etag, metadata = head["ETag"], head.get("Metadata", {})
        write, checksum = metadata.get(WRITE, ""), metadata.get(CHECKSUM, "")
        if (ours := WRITE_FORM.fullmatch(write)) and CHECKSUM_FORM.fullmatch(checksum):
            generation, checksum = _generation_of(int(ours[1]), write, etag), f"crc32c:{checksum}"
        else:
            generation, checksum = _generation_of(int(head["LastModified"].timestamp() * 1000), "", etag), f"etag:{etag.strip(chr(34))}"
        return _Object(Blob(name, head["ContentLength"], generation, checksum), etag, write)

    def _generation(self, name: str) -> int:
        with self._explain_errors(check_name(name), "s3:GetObject"):
            found = self._find(name)
            return found.blob.generation if found else 0

    def _open_pieces(self, name: str, generation: int | None) -> tuple[Blob, Iterator[bytes]]:
        """The object and its pieces, of which the first has arrived: until then nothing is written, and a name that was written anew is tried again."""
        for _ in attempts(RACE):
            found = self._find(name)
            if found is None:
                raise Refused(f"{self._uri(name)}: does not exist")
            if generation not in (None, found.blob.generation):
                raise Conflict(f"{self._uri(name)}: is generation {found.blob.generation}, not {generation}")
            content = self._pieces(found)
            with suppress(Conflict):
                return found.blob, chain((next(content, b""),), content)
        raise self._busy(name)

    def _pieces(self, found: _Object) -> Iterator[bytes]:
        """Yield the content of this write. Each piece is tried again by itself, so none is written twice."""
        from botocore.exceptions import ClientError

        size, key = found.blob.size, self._folder + found.blob.name
        for start in range(0, size, PIECE):
            end = min(start + PIECE, size)
            try:
                yield self._again(partial(self._piece, key, found.etag, start, end))
            except ClientError as error:
                if status_of(error) not in (404, *LOST_RACE):
                    raise
                raise Conflict(f"{self._uri(found.blob.name)}: was written anew while it was read") from error

    def _piece(self, key: str, etag: str, start: int, end: int) -> bytes:
        answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=etag, Range=f"bytes={start}-{end - 1}")
        with closing(answer["Body"]) as body:
            piece: bytes = body.read()
        if len(piece) != end - start:
            raise ConnectionError(f"bytes {start} to {end}: {len(piece)} arrived")
        return piece

    def _upload(self, name: str, content: bytes | Path, if_generation: int) -> Blob:
        with explain_os_errors(f"reading {content}" if isinstance(content, Path) else name), _open(content) as source:
            checksum = copy(source)
            size = source.tell()
            source.seek(0)
            with self._explain_errors(name, "s3:PutObject"):
                condition = self._condition(name, if_generation)
                return self._send(name, source, size, checksum, condition)

    def _condition(self, name: str, if_generation: int) -> dict[str, str]:
        """The condition of a write over this generation. Raises Conflict where there is another one already.

        The server compares ETags: somebody who writes equal content after this comparison is not noticed, and loses nothing.
        """
        found = self._find(name)
        if (found.blob.generation if found else 0) != if_generation:
            raise Conflict(
                f"{self._uri(name)}: {f'is generation {found.blob.generation}' if found else 'does not exist'}, not {if_generation}"
            )
        return {"IfMatch": found.etag} if found else {"IfNoneMatch": "*"}

    def _send(self, name: str, source: BinaryIO, size: int, checksum: str, condition: dict[str, str]) -> Blob:
        from botocore.exceptions import ClientError

        moment = time.time_ns() // 1_000_000
        write = f"{moment}-{uuid.uuid4().hex}"
        metadata = {WRITE: write, CHECKSUM: checksum.removeprefix("crc32c:")}
        try:
            if size <= PIECE:
                etag = self._put(name, source.read(), metadata, condition)
            else:
                etag = self._put_parts(name, source, size, metadata, condition)
        except ClientError as error:
            # Our own first try may have arrived, with its answer lost.
            found = self._find(name) if status_of(error) in (404, *LOST_RACE) else None
            if found is None or found.write != write:
                if status_of(error) == 404 and "IfMatch" in condition:
                    raise Conflict(f"{self._uri(name)}: was deleted meanwhile") from error
                raise
            etag = found.etag
        return Blob(name, size, _generation_of(moment, write, etag), checksum)

    def _put(self, name: str, content: bytes, metadata: dict[str, str], condition: dict[str, str]) -> str:
        self._check_unchanged(name, copy(io.BytesIO(content)), metadata)
        arguments = {"Key": self._folder + name, "Body": content, "ContentMD5": _md5(content), "Metadata": metadata}
        etag = str(self._call("put_object", **arguments, **condition)["ETag"])
        if "IfNoneMatch" in condition and not self._has_conditions:
            self._check_conditions(name, arguments)
        return etag

    def _check_conditions(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Repeat the creation of an object that exists by now: a server that accepts it ignores conditions, and would lose writes."""
        from botocore.exceptions import ClientError

        for _ in range(2):  # the first time somebody else may have deleted it
            try:
                self._call("put_object", **arguments, IfNoneMatch="*")
            except ClientError as error:
                if status_of(error) not in LOST_RACE:
                    raise
                self._has_conditions = True
                return
        raise Refused(
            f"{self._uri(name)}: {self._host} ignores `If-None-Match`, so releases could overwrite each other; use a newer server"
        )

    def _put_parts(self, name: str, source: BinaryIO, size: int, metadata: dict[str, str], condition: dict[str, str]) -> str:
        import google_crc32c

        key = self._folder + name
        upload = self._call("create_multipart_upload", Key=key, Metadata=metadata)["UploadId"]
        value, parts = 0, []
        try:
            for number, content in enumerate(pieces(source, max(PIECE, -(-size // MOST_PARTS))), 1):
                part = {"UploadId": upload, "PartNumber": number, "Body": content, "ContentMD5": _md5(content)}
                parts.append({"PartNumber": number, "ETag": self._call("upload_part", Key=key, **part)["ETag"]})
                value = google_crc32c.extend(value, content)
            self._check_unchanged(name, as_text(value), metadata)
            complete = {"Key": key, "UploadId": upload, "MultipartUpload": {"Parts": parts}}
            return str(self._call("complete_multipart_upload", **complete, **condition)["ETag"])
        except BaseException:
            self._abort(key, upload)
            raise

    def _check_unchanged(self, name: str, checksum: str, metadata: Mapping[str, str]) -> None:
        """Raise Unavailable where the content is not what its checksum was computed of."""
        if checksum != f"crc32c:{metadata[CHECKSUM]}":
            raise Unavailable(f"{self._uri(name)}: the file was changed while it was sent")

    def _abort(self, key: str, upload: str) -> None:
        """Remove the parts that were sent; where that fails, the bucket's own rule for unfinished uploads removes them."""
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(BotoCoreError, ClientError):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)

    def _remove(self, name: str, generation: int) -> None:
        from botocore.exceptions import ClientError

        with self._explain_errors(name, "s3:DeleteObject"):
            found = self._find(name)
            if found is None:
                return
            if found.blob.generation != generation:
                raise Conflict(f"{self._uri(name)}: is generation {found.blob.generation}, not {generation}")
            try:
                self._call("delete_object", Key=self._folder + name, IfMatch=found.etag)
            except ClientError as error:
                if status_of(error) == 501:
                    # Older servers compare nothing here; what was there a moment ago is what was asked for.
                    self._call("delete_object", Key=self._folder + name)
                elif status_of(error) != 404:
                    raise


def reads_secret() -> bool:
    """Whether AWS's configuration is that of the Secret S3_SECRET, as it is mounted in this pod."""
    return "AWS_CONFIG_FILE" not in os.environ and CONFIG.is_file()


def _generation_of(moment: int, write: str, etag: str) -> int:
    """The time in milliseconds, and 64 bits of write and content: nobody finds other content that has them."""
    digest = hashlib.sha256(f"{write} {etag}".encode()).digest()
    return (moment << 64) + int.from_bytes(digest[:8], "big")


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _open(content: bytes | Path) -> BinaryIO:
    return open_plain(content) if isinstance(content, Path) else io.BytesIO(content)
