"""The versions of one model: which are wanted, which are loaded, and how each of them is.

START → LOADING → AVAILABLE → UNLOADING → END. A version that cannot be loaded ends in END with an error and is not tried
again until it was gone; the versions before it go on serving. Ended ones stay in the list for the life of the process.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

from tfcanary.tf.modelserver.configs import ModelConfig
from tfcanary.tf.modelserver.status import RequestError, invalid
from tfcanary.tf.runtime import Failed, Servable

VERSION = re.compile(r"[0-9]{1,18}")

Load = Callable[[str, Path], Servable]
"""Model name and directory to a loaded version; raises Failed."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """How a version is."""

    number: int
    state: str
    code: str = "OK"
    message: str = ""


@dataclass(slots=True)
class Loaded:
    """A version that serves."""

    number: int
    servable: Servable
    users: int = 0
    """Requests that run on it at this moment."""


class Versions:
    """One model. `poll` is called by one thread; everything else by any."""

    def __init__(self, config: ModelConfig, load: Load, retries: int = 0, retry_seconds: float = 0.0) -> None:
        self.config = config
        self._load = load
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._stopped = Event()
        self._lock = Lock()
        self._states: dict[int, VersionState] = {}
        self._ready: dict[int, Loaded] = {}
        self._seen: set[int] = set()

    def states(self) -> tuple[VersionState, ...]:
        """Every version there ever was, by number."""
        with self._lock:
            return tuple(self._states[number] for number in sorted(self._states))

    @contextmanager
    def borrow(self, version: int | None = None, label: str = "") -> Iterator[Loaded]:
        """The version asked for, else the highest that serves; it is not unloaded meanwhile. Raises RequestError."""
        number = self._labelled(label) if label else version
        with self._lock:
            found = self._ready.get(max(self._ready, default=-1) if number is None else number)
            if found is None:
                what = f"Latest({self.config.name})" if number is None else f"Specific({self.config.name}, {number})"
                raise RequestError("NOT_FOUND", f"Servable not found for request: {what}")
            found.users += 1
        try:
            yield found
        finally:
            with self._lock:
                found.users -= 1

    def poll(self) -> None:
        """Look for versions; load the new ones, the highest first, then unload those that are no longer wanted.

        The last one that serves is unloaded only when nothing at all is wanted. A base path that cannot be read changes nothing.
        """
        wanted = self._wanted()
        if wanted is None:
            return
        self._seen &= wanted.keys()
        for number in sorted(wanted.keys() - self._seen - self._ready.keys(), reverse=True):
            self._seen.add(number)
            self._start(number, wanted[number])
        if not wanted or wanted.keys() & self._ready.keys():
            for number in self._ready.keys() - wanted.keys():
                self._unload(number)

    def stop(self) -> None:
        """Give up waiting for the next attempt to load."""
        self._stopped.set()

    def _labelled(self, label: str) -> int:
        if label not in self.config.labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return self.config.labels[label]

    def _wanted(self) -> Mapping[int, Path] | None:
        """Version to directory; None where the base path cannot be read."""
        base = self.config.base_path
        try:
            if self.config.specific is not None:
                return {number: base / str(number) for number in self.config.specific if (base / str(number)).exists()}
            found = {int(path.name): path for path in sorted(base.iterdir()) if VERSION.fullmatch(path.name)}
        except OSError:
            return None
        return {number: found[number] for number in sorted(found, reverse=True)[: self.config.latest]}

    def _start(self, number: int, path: Path) -> None:
        self._set(VersionState(number, "START"))
        self._set(VersionState(number, "LOADING"))
        for attempt in range(self._retries + 1):
            try:
                servable = self._load(self.config.name, path)
            except Failed as error:
                failure = VersionState(number, "END", error.code, str(error))
                print(f"Loading servable: {{name: {self.config.name} version: {number}}} failed: {error.code}: {error}", file=sys.stderr)
            else:
                with self._lock:
                    self._ready[number] = Loaded(number, servable)
                self._set(VersionState(number, "AVAILABLE"))
                return
            if attempt < self._retries and (self._stopped.wait(self._retry_seconds) or number not in (self._wanted() or {number})):
                break
        self._set(failure)

    def _unload(self, number: int) -> None:
        self._set(VersionState(number, "UNLOADING"))
        with self._lock:
            loaded = self._ready.pop(number)
        while loaded.users:
            time.sleep(0.01)
        loaded.servable.close()
        self._set(VersionState(number, "END"))

    def _set(self, state: VersionState) -> None:
        with self._lock:
            self._states[state.number] = state
