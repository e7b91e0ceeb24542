"""Object storage behind one port: a directory, or a bucket with a prefix.

Platforms open the buckets of a plan here; acts write versions and the judge's state through the port.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from tfcanary.adapters.storage.blob_names import as_folder
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Storage

STORAGE_URIS = "a directory such as /srv/models, file:///srv/models, gs://bucket/prefix or s3://bucket/prefix"
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


def open_storage(uri: str) -> Storage:
    """Open the storage that a URI names, without a request to it. Raises Refused where the URI has none of the known forms."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _directory(uri, uri)
    if scheme == "file":
        return _directory(uri, unquote(rest) if rest.startswith("/") else "")
    if scheme in ("gs", "s3"):
        return _bucket(uri, scheme, rest)
    raise Refused(f"storage {uri!r}: {scheme}:// is not supported; use {STORAGE_URIS}")


def folder_of(uri: str) -> Path | None:
    """The directory that a URI names; None where it names a bucket."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        return None
    return Path(unquote(rest) if separator else uri).expanduser()


def _directory(uri: str, path: str) -> Storage:
    from tfcanary.adapters.storage.directory import DirectoryStorage

    if not path.strip() or "\0" in path:
        raise Refused(f"storage {uri!r}: names no directory; use {STORAGE_URIS}")
    return DirectoryStorage(Path(path).expanduser())


def _bucket(uri: str, scheme: str, rest: str) -> Storage:
    from tfcanary.adapters.storage.gcs import GcsStorage
    from tfcanary.adapters.storage.s3 import S3Storage

    bucket, _, prefix = rest.partition("/")
    if not BUCKET.fullmatch(bucket):
        raise Refused(f"storage {uri!r}: {bucket!r} is no bucket name; use {STORAGE_URIS}")
    return (GcsStorage if scheme == "gs" else S3Storage)(bucket, as_folder(prefix))
