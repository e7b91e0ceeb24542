"""Writes and deletes in a bucket: each names the generation that it replaces, also where the caller names none.

So a request that is tried again, or arrives late, never undoes a newer write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from tfcanary.adapters.storage.blob_names import check_name
from tfcanary.core.errors import Conflict, Unavailable
from tfcanary.core.ports import Blob
from tfcanary.core.retry import Pauses, attempts

RACE = Pauses(first=0.02, attempts=5, jitter=(0.0, 1.0))
"""Between two attempts at a name that others write at the same time."""


class ConditionalWrites(ABC):
    """Half of `ports.Storage` for a bucket whose service compares generations."""

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Blob:
        """As `ports.Storage.write`. Raises Refused where `content` is not a plain file."""
        if if_generation is not None:
            return self._upload(check_name(name), content, if_generation)
        for _ in attempts(RACE):
            with suppress(Conflict):
                return self._upload(name, content, self._generation(name))
        raise self._busy(name)

    def delete(self, name: str, if_generation: int | None = None) -> None:
        """As `ports.Storage.delete`. Raises Unavailable where others write the name at every attempt."""
        for _ in attempts(RACE):
            generation = self._generation(name)
            if not generation:
                return
            if if_generation not in (None, generation):
                raise Conflict(f"{self._uri(name)}: is generation {generation}, not {if_generation}")
            with suppress(Conflict):
                return self._remove(name, generation)
        raise self._busy(name)

    def _busy(self, name: str) -> Unavailable:
        return Unavailable(f"{self._uri(name)}: others write it all the time")

    @abstractmethod
    def _uri(self, name: str) -> str:
        """The object's URI, for people."""

    @abstractmethod
    def _generation(self, name: str) -> int:
        """The present generation; 0 where the name does not exist. Raises Refused where the name is not valid."""

    @abstractmethod
    def _upload(self, name: str, content: bytes | Path, if_generation: int) -> Blob:
        """Write over this generation (0: only where the name does not exist). Raises Conflict where there is another one."""

    @abstractmethod
    def _remove(self, name: str, generation: int) -> None:
        """Delete this generation, if it still exists. Raises Conflict where there is another one."""
