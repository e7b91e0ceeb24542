"""The files behind a URI, on this machine: what lies in a bucket is copied first."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Platform, Storage

GRAPH = 64 * 2**20
"""Bytes of a graph that are fetched for a page: many times a usual one; the step that ends a release must not wait for more."""


def fetch(uri: str) -> Path:
    """The directory or file behind a URI, on this machine: a `gs://` one is copied into a temporary directory of this process."""
    return Copies().fetch(uri)


@dataclass(slots=True)
class Copies:
    """What was fetched before: of a bucket that is looked at again, only what is new or was written anew is copied."""

    folders: dict[str, Path] = field(default_factory=dict)
    generations: dict[str, dict[str, int]] = field(default_factory=dict)

    def fetch(self, uri: str) -> Path:
        """The directory or file behind a URI; raises Refused where a bucket has neither."""
        if "://" not in uri or uri.startswith("file://"):
            return Path(unquote(uri.removeprefix("file://")))
        from tfcanary.adapters.storage import open_storage
        from tfcanary.adapters.storage.download import pull

        if uri not in self.folders:
            self.folders[uri] = _scratch()
        into = self.folders[uri]
        known = self.generations.setdefault(uri, {})
        folder, _, name = uri.rstrip("/").rpartition("/")
        beside = open_storage(folder)
        single = next((blob for blob in beside.list(name) if blob.name == name), None)
        if single is None:
            pull(open_storage(uri), "", into, known=known)
            return into
        if known.get(name) != single.generation:
            _copy(beside, name, into / Path(name).name)
            known[name] = single.generation
        return into / Path(name).name


def files_of(platform: Platform, version: ModelVersion) -> Path:
    """A pushed version's files, on this machine: a directory is used where it lies."""
    if "://" not in version.uri:
        return Path(version.uri)
    from tfcanary.adapters.storage.download import pull

    into = _scratch()
    pull(platform.storage, f"{platform.model}/{version.number}/", into)
    return into


def graph_of(platform: Platform, version: ModelVersion) -> Path:
    """A directory with the version's graph in it: of a bucket that one object, and none that is too large for a look. Raises Refused or Unavailable."""
    from tfcanary.look.savedmodel.tree import MODEL

    if "://" not in version.uri:
        return Path(version.uri)
    name = f"{platform.model}/{version.number}/{MODEL}"
    if not any(blob.name == name and blob.size <= GRAPH for blob in platform.storage.list(name)):
        raise Refused(f"{version.uri}: no {MODEL} of at most {GRAPH:,} bytes")
    return fetch_one(platform.storage, name).parent


def fetch_one(storage: Storage, name: str) -> Path:
    """A single file of a storage, on this machine."""
    path = _scratch() / Path(name).name
    _copy(storage, name, path)
    return path


def _copy(storage: Storage, name: str, path: Path) -> None:
    with path.open("wb") as into:
        storage.read(name, into)


def _scratch() -> Path:
    """A directory that ends with this process."""
    into = Path(tempfile.mkdtemp(prefix="tfcanary-"))
    atexit.register(shutil.rmtree, into, ignore_errors=True)
    return into
