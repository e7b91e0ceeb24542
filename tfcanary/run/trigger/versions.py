"""What lies in a folder of exports, and which versions there are complete.

A version that is still being copied looks like one that is not: only a file that is written last tells them apart, or time.
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
    """A folder below the exports."""

    name: str
    listing: Listing

    @property
    def files(self) -> set[str]:
        """Names inside the version."""
        return {blob.name.removeprefix(f"{self.name}/") for blob in self.listing}

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """Oldest first: names that are no numbers by their newest object, then numbers."""
        number = int(self.name) if self.name.isdecimal() and self.name.isascii() else 0
        newest = max(blob.generation for blob in self.listing)
        return bool(number), number, newest, self.name


def under(storage: Storage, prefix: str = "") -> tuple[Version, ...]:
    """The versions of a folder, oldest first."""
    found: dict[str, list[Blob]] = {}
    for blob in storage.list(prefix):
        name, slash, _ = blob.name.partition("/")
        if slash:
            found.setdefault(name, []).append(blob)
    return tuple(sorted((Version(name, tuple(blobs)) for name, blobs in found.items()), key=lambda one: one.order))


@dataclass(slots=True)
class Completeness:
    """Says of versions whether they are complete: by their marker, else by having been the same for a while."""

    marker: str
    settle: timedelta
    now: Callable[[], float] = time.monotonic
    """Seconds; a difference counts, so no clock that can be set."""
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Of each version that was asked about: a hash of its listing, and since when it has been that."""

    def is_complete(self, version: Version, at: str) -> bool:
        """`at` is the version's whole URI."""
        if self.marker:
            return self.marker in version.files
        if MODEL_FILE not in version.files:
            return False
        listing = hash(version.listing)
        before, since = self.seen.get(at, (listing, self.now()))
        since = since if before == listing else self.now()
        self.seen[at] = (listing, since)
        return self.now() - since >= self.settle.total_seconds()

    def of_uri(self, uri: str) -> bool:
        """Whether the version at a URI is complete; only this one is remembered.

        Asks its storage by the folder above: `DirectoryStorage` keeps a folder of its own there, and a SavedModel must have none.
        """
        self._keep({uri})
        folder, _, name = uri.rpartition("/")
        found = under(open_storage(folder), f"{name}/")
        return bool(found) and self.is_complete(found[0], uri)

    def complete(self, uri: str) -> tuple[Version, ...]:
        """The complete versions below a folder, oldest first; only these are remembered."""
        found = under(open_storage(uri))
        self._keep({f"{uri}/{version.name}" for version in found})
        return tuple(version for version in found if self.is_complete(version, f"{uri}/{version.name}"))

    def _keep(self, uris: set[str]) -> None:
        self.seen = {at: one for at, one in self.seen.items() if at in uris}
