"""A bucket in memory: generations, preconditions and checksums as a real one has them."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from google_crc32c import Checksum

from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Blob


class FakeStorage:
    """Objects in a dictionary, with generations and preconditions."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.generation = 0

    def _blob(self, name: str) -> Blob:
        content, generation = self.objects[name]
        return Blob(name, len(content), generation, f"crc32c:{int.from_bytes(Checksum(content).digest()):08x}")

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        return tuple(self._blob(name) for name in sorted(self.objects) if name.startswith(prefix))

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
        if name not in self.objects:
            raise Refused(f"{name}: is missing")
        blob = self._blob(name)
        if generation not in (None, blob.generation):
            raise Conflict(f"{name}: is generation {blob.generation}")
        into.write(self.objects[name][0])
        return blob

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Blob:
        there = self.objects[name][1] if name in self.objects else 0
        if if_generation not in (None, there):
            raise Conflict(f"{name}: is generation {there}")
        self.generation += 1
        self.objects[name] = (content if isinstance(content, bytes) else content.read_bytes(), self.generation)
        return self._blob(name)

    def delete(self, name: str, if_generation: int | None = None) -> None:
        if name in self.objects and if_generation not in (None, self.objects[name][1]):
            raise Conflict(f"{name}: is generation {self.objects[name][1]}")
        self.objects.pop(name, None)
