"""The versions in a folder of exports, and which of them are complete.

A version that is still being copied looks like a complete one: only a file that is written last, or time, tells them apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tfcanary.adapters.storage import open_storage
from tfcanary.core.ports import Blob, Storage
from tfcanary.run.trigger.routes import MODEL_FILE

Listing = tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A folder below the exports, with the objects in it."""

    name: str
    listing: Listing

    @property
    def files(self) -> set[str]:
        """The names of the objects, relative to the version."""
        return {blob.name.removeprefix(f"{self.name}/") for blob in self.listing}

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """The key that sorts versions, oldest first: names that are no numbers by their newest object, then numbers."""
        number = int(self.name) if self.name.isdecimal() and self.name.isascii() else 0
        newest = max(blob.generation for blob in self.listing)
        return bool(number), number, newest, self.name


def list_versions(storage: Storage, prefix: str = "") -> tuple[Version, ...]:
    """List the versions of a folder, oldest first. Raises Unavailable."""
    blobs: dict[str, list[Blob]] = {}
    for blob in storage.list(prefix):
        name, slash, _ = blob.name.partition("/")
        if slash:
            blobs.setdefault(name, []).append(blob)
    return tuple(sorted((Version(name, tuple(listing)) for name, listing in blobs.items()), key=lambda one: one.order))


@dataclass(slots=True)
class Completeness:
    """Decides whether versions are complete: by their marker, else by a listing that has not changed for a while."""

    marker: str
    """The name of the object that is written last; empty: there is none."""
    settle: timedelta
    """How long the listing of a version without a marker must stay unchanged."""
    now: Callable[[], float] = time.monotonic
    """Seconds of a clock that nobody can set: only differences are used."""
    history: dict[str, tuple[int, float]] = field(default_factory=dict)
    """For the URI of each version that was asked about: a hash of its listing, and since when the listing has been that."""

    def is_complete(self, version: Version, uri: str) -> bool:
        """Return whether a version, whose whole URI is `uri`, is complete."""
        if self.marker:
            return self.marker in version.files
        if MODEL_FILE not in version.files:
            return False
        listing = hash(version.listing)
        before, since = self.history.get(uri, (listing, self.now()))
        since = since if before == listing else self.now()
        self.history[uri] = (listing, since)
        return self.now() - since >= self.settle.total_seconds()

    def is_complete_uri(self, uri: str) -> bool:
        """Return whether the version at a URI is complete; the history of all other versions is forgotten. Raises Refused, Unavailable.

        The storage is opened at the folder above: `DirectoryStorage` keeps a folder of its own there, and a SavedModel must have none.
        """
        self._forget_others({uri})
        folder, _, name = uri.rpartition("/")
        found = list_versions(open_storage(folder), f"{name}/")
        return bool(found) and self.is_complete(found[0], uri)

    def complete_versions(self, uri: str) -> tuple[Version, ...]:
        """List the complete versions below a folder, oldest first; the history of all others is forgotten. Raises Refused, Unavailable."""
        found = list_versions(open_storage(uri))
        self._forget_others({f"{uri}/{version.name}" for version in found})
        return tuple(version for version in found if self.is_complete(version, f"{uri}/{version.name}"))

    def _forget_others(self, uris: set[str]) -> None:
        self.history = {at: one for at, one in self.history.items() if at in uris}
