"""The versions of one model: which are aspired (to be served), which are loaded, and the state of each.

START → LOADING → AVAILABLE → UNLOADING → END. A version that cannot be loaded goes to END with an error and is not tried
again until it was no longer aspired; versions that were loaded before go on serving. Versions in END stay in the list until
the process ends.
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
from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.runtime import Servable, TensorFlowError

VERSION_NAME = re.compile(r"[0-9]{1,18}")
"""The names of directories that hold a version."""

Load = Callable[[str, Path], Servable]
"""A function that loads a version: its arguments are the model's name and the version's directory. Raises TensorFlowError."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """The state of one version, as GetModelStatus reports it."""

    number: int
    state: str
    code: str = "OK"
    """`OK`, or the code of the error with which the load failed."""
    message: str = ""


@dataclass(slots=True)
class LoadedVersion:
    """A version that serves."""

    number: int
    servable: Servable
    users: int = 0
    """The number of requests that run on the version now."""


class ModelVersions:
    """The versions of one model; `poll` is called by one thread only, every other function by any thread."""

    def __init__(self, config: ModelConfig, load: Load, retries: int = 0, retry_seconds: float = 0.0) -> None:
        self.config = config
        self._load = load
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._stop = Event()
        self._lock = Lock()
        self._states: dict[int, VersionState] = {}
        self._ready: dict[int, LoadedVersion] = {}
        self._known_numbers: set[int] = set()
        """Aspired versions that were loaded, or could not be loaded."""

    def states(self) -> tuple[VersionState, ...]:
        """Return the state of every version since the process began, by number."""
        with self._lock:
            return tuple(self._states[number] for number in sorted(self._states))

    @contextmanager
    def borrow(self, version: int | None = None, label: str = "") -> Iterator[LoadedVersion]:
        """Give the version with this number or label, by default the highest that serves; it is not unloaded meanwhile.

        Raises RequestError where the version does not serve, or the label is unknown.
        """
        if label and label not in self.config.labels:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        number = self.config.labels[label] if label else version
        with self._lock:
            loaded = self._ready.get(max(self._ready, default=-1) if number is None else number)
            if loaded is None:
                request = f"Latest({self.config.name})" if number is None else f"Specific({self.config.name}, {number})"
                raise RequestError("NOT_FOUND", f"Servable not found for request: {request}")
            loaded.users += 1
        try:
            yield loaded
        finally:
            with self._lock:
                loaded.users -= 1

    def poll(self) -> None:
        """Look at the base path; load new aspired versions, the highest first, then unload versions that are not aspired.

        The last version that serves is unloaded only where no version is aspired. A base path that cannot be read changes
        nothing.
        """
        aspired = self._aspired_versions()
        if aspired is None:
            return
        self._known_numbers &= aspired.keys()
        for number in sorted(aspired.keys() - self._known_numbers - self._ready.keys(), reverse=True):
            self._known_numbers.add(number)
            self._start(number, aspired[number])
        if not aspired or aspired.keys() & self._ready.keys():
            for number in self._ready.keys() - aspired.keys():
                self._unload(number)

    def stop(self) -> None:
        """Let a `poll` that waits for its next attempt to load return without it."""
        self._stop.set()

    def _aspired_versions(self) -> Mapping[int, Path] | None:
        """Return the directory of each version that should be served; None where the base path cannot be read."""
        base = self.config.base_path
        try:
            if self.config.specific is not None:
                return {number: base / str(number) for number in self.config.specific if (base / str(number)).exists()}
            present = {int(path.name): path for path in sorted(base.iterdir()) if VERSION_NAME.fullmatch(path.name)}
        except OSError:
            return None
        return {number: present[number] for number in sorted(present, reverse=True)[: self.config.latest]}

    def _start(self, number: int, path: Path) -> None:
        self._set(VersionState(number, "START"))
        self._set(VersionState(number, "LOADING"))
        for attempt in range(self._retries + 1):
            try:
                servable = self._load(self.config.name, path)
            except TensorFlowError as error:
                failure = VersionState(number, "END", error.code, str(error))
                print(f"Loading servable: {{name: {self.config.name} version: {number}}} failed: {error.code}: {error}", file=sys.stderr)
            else:
                with self._lock:
                    self._ready[number] = LoadedVersion(number, servable)
                self._set(VersionState(number, "AVAILABLE"))
                return
            is_last = attempt == self._retries or self._stop.wait(self._retry_seconds)
            if is_last or number not in (self._aspired_versions() or {number}):
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
