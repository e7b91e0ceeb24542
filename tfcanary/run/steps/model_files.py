"""The files behind a URI, on this machine: files in a bucket are copied into a temporary directory first."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Platform, Storage

LARGEST_GRAPH = 64 * 2**20
"""Bytes of a graph that is fetched for a page: many times a usual one; the step that ends a release must not wait for more."""


def candidate_uri(model: str | Path) -> str:
    """Return the URI of a candidate as the steps get it: a bucket's URI unchanged, a directory as its absolute path.

    Raises Refused where it is empty, where Argo or Kubernetes would expand a part of it, where it cannot be printed, or where its links
    form a loop.
    """
    uri = str(model)
    if not uri:
        raise Refused("model: the path is empty; name a folder, or a URI of a bucket")
    try:
        uri = uri if "://" in uri else str(Path(uri).resolve())
    except (OSError, RuntimeError) as error:  # a RuntimeError before Python 3.13
        raise Refused(f"model: {uri!r} cannot be read: its links form a loop") from error
    if not uri.isprintable():
        raise Refused(f"model: {uri!r} has characters that cannot be printed, such as a line break; rename the folder")
    return str(codec.decode(str, uri, at="model"))


def fetch(uri: str) -> Path:
    """Return the directory or file behind a URI; a `gs://` one is copied into a temporary directory of this process.

    Raises Refused where a bucket has neither, Unavailable where it cannot be read.
    """
    return Copies().fetch(uri)


@dataclass(slots=True)
class Copies:
    """The copies that this process has fetched from buckets; a URI that is fetched again copies only new and changed files."""

    folders: dict[str, Path] = field(default_factory=dict)
    generations: dict[str, dict[str, int]] = field(default_factory=dict)

    def fetch(self, uri: str) -> Path:
        """Return the directory or file behind a URI, on this machine; raises Refused where it is empty, or a bucket has neither."""
        if not uri:
            raise Refused("the path is empty; name a file, a folder or a gs:// URI")
        if "://" not in uri:
            return Path(uri)
        if uri.startswith("file://"):
            return Path(unquote(uri.removeprefix("file://")))
        from tfcanary.adapters.storage import open_storage
        from tfcanary.adapters.storage.download import pull

        if uri not in self.folders:
            self.folders[uri] = _temporary_folder()
        into = self.folders[uri]
        generations = self.generations.setdefault(uri, {})
        folder, _, name = uri.rstrip("/").rpartition("/")
        beside = open_storage(folder)
        single = next((blob for blob in beside.list(name) if blob.name == name), None)
        if single is None:
            pull(open_storage(uri), "", into, known=generations, uri=uri)
            return into
        if generations.get(name) != single.generation:
            _copy(beside, name, into / Path(name).name)
            generations[name] = single.generation
        return into / Path(name).name


def files_of(platform: Platform, version: ModelVersion) -> Path:
    """Return a directory with all files of a pushed version: its own directory, or a copy of what its bucket has. Raises Unavailable."""
    if "://" not in version.uri:
        return Path(version.uri)
    from tfcanary.adapters.storage.download import pull

    into = _temporary_folder()
    pull(platform.storage, f"{platform.model}/{version.number}/", into, uri=version.uri)
    return into


def graph_of(platform: Platform, version: ModelVersion) -> Path:
    """Return a directory with a pushed version's graph; from a bucket only that one object is copied.

    Raises Refused where the graph is missing or has more than LARGEST_GRAPH bytes, Unavailable where the bucket does not answer.
    """
    from tfcanary.look.savedmodel.tree import MODEL

    if "://" not in version.uri:
        return Path(version.uri)
    name = f"{platform.model}/{version.number}/{MODEL}"
    if not any(blob.name == name and blob.size <= LARGEST_GRAPH for blob in platform.storage.list(name)):
        raise Refused(f"{version.uri}: no {MODEL} of at most {LARGEST_GRAPH:,} bytes")
    return fetch_one(platform.storage, name).parent


def fetch_one(storage: Storage, name: str) -> Path:
    """Copy a single object of a storage into a temporary directory of this process; returns the file. Raises Unavailable."""
    path = _temporary_folder() / Path(name).name
    _copy(storage, name, path)
    return path


def _copy(storage: Storage, name: str, path: Path) -> None:
    with path.open("wb") as into:
        storage.read(name, into)


def _temporary_folder() -> Path:
    """A directory that is removed when this process ends."""
    into = Path(tempfile.mkdtemp(prefix="tfcanary-"))
    atexit.register(shutil.rmtree, into, ignore_errors=True)
    return into
