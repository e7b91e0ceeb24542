"""The manager: looks for versions, loads and unloads them in one thread, and hands those that serve to requests.

What is to be done next is decided by the state machine in `lifecycle.py`; the manager does it.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Event, Lock, Thread

from tfcanary.tf.modelserver import base_paths
from tfcanary.tf.modelserver.base_paths import ListDirectory
from tfcanary.tf.modelserver.batching import BatchedServable
from tfcanary.tf.modelserver.configs import ModelConfig
from tfcanary.tf.modelserver.lifecycle import Lifecycle, Load, VersionState
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.runtime import Servable, TensorFlowError

TICK = 0.1
"""Seconds between two looks at what is to be done, as with the original."""

AnyServable = Servable | BatchedServable
LoadVersion = Callable[[str, Path], AnyServable]
"""A function that loads a version: its arguments are the model's name and the version's path. Raises TensorFlowError."""
Models = tuple[ModelConfig, ...] | None
"""The models of a config; None where the config has no list of models."""


@dataclass(slots=True)
class LoadedVersion:
    """A version that serves."""

    number: int
    servable: AnyServable
    users: int = 0
    """The number of requests that run on the version now."""


class ModelManager:
    """The models of one server. `start` is called once; every other function may be called by any thread."""

    def __init__(
        self,
        load: LoadVersion,
        options: Options,
        list_directory: ListDirectory = os.listdir,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._options = options
        self._list_directory = list_directory
        self._clock = clock
        self._stop = Event()
        self._next_look = math.inf if options.file_system_poll_wait_seconds < 0 else -math.inf
        self._said: frozenset[str] = frozenset()
        self._reloading = Lock()
        """Held while a config is taken over, until its new models serve."""
        self._changed = Condition(Lock())
        """Guards what follows, and is notified when the state of a version changes."""
        self._lifecycle = Lifecycle(options.max_num_load_retries, options.load_retry_interval_micros / 1e6)
        self._models: Models = None
        self._labels: Mapping[str, Mapping[str, int]] = {}
        self._serving: dict[str, dict[int, LoadedVersion]] = {}
        self._draining: list[tuple[str, LoadedVersion]] = []

    def start(self, models: Models) -> None:
        """Take over the first config, and wait until a version of each model serves.

        Raises RequestError where the config cannot be taken over, or a model has no version that can be loaded.
        """
        Thread(target=self._work, name="versions", daemon=True).start()
        self._take_over(models, lambda: not self._stop.is_set(), "servable")

    def reload(self, models: Models, is_wanted: Callable[[], bool]) -> None:
        """Replace the config, labels first, and wait until a version of each new model serves, or until nobody wants it.

        Models that the config no longer names are unloaded. Raises RequestError like `start`; where the config itself is
        wrong, the old one stays.
        """
        self._take_over(models, is_wanted, "model")

    def stop(self) -> None:
        """Load and unload nothing more."""
        self._stop.set()

    def states(self, model: str) -> tuple[VersionState, ...]:
        """Return the state of every version of a model since the process began, by number."""
        with self._changed:
            return self._lifecycle.states(model)

    @contextmanager
    def borrow(self, model: str, version: int | None = None, label: str = "") -> Iterator[LoadedVersion]:
        """Give the version with this number or label, by default the highest that serves; it is not unloaded meanwhile.

        Raises RequestError where the version does not serve, or the label is unknown.
        """
        if label:
            version = self._labels.get(model, {}).get(label)
            if version is None:
                raise invalid_argument(f"Unrecognized servable version label: {label}")
        with self._changed:
            serving = self._serving.get(model, {})
            loaded = serving.get(max(serving, default=-1) if version is None else version)
            if loaded is None:
                request = f"Latest({model})" if version is None else f"Specific({model}, {version})"
                raise RequestError("NOT_FOUND", f"Servable not found for request: {request}")
            loaded.users += 1
        try:
            yield loaded
        finally:
            with self._changed:
                loaded.users -= 1

    def work(self) -> bool:
        """Look at the base paths where it is time, then do one thing; tell whether there was anything to do."""
        now = self._clock()
        if self._models is not None and now >= self._next_look:
            self._next_look = now + (self._options.file_system_poll_wait_seconds or math.inf)
            self._look(self._models)
        freed = self._free_drained()
        with self._changed:
            action = self._lifecycle.next_action(now)
            self._changed.notify_all()
            if action and not isinstance(action, Load):
                self._draining.append((action.model, self._serving[action.model].pop(action.number)))
        if isinstance(action, Load):
            self._load_version(action)
        return freed or action is not None

    def _work(self) -> None:
        while not self._stop.is_set():
            if not self.work():
                self._stop.wait(TICK)

    def _look(self, models: Collection[ModelConfig]) -> None:
        """Aspire the versions that the policies want; where a base path cannot be read, nothing changes for any model."""
        try:
            aspired, warnings = base_paths.look(models, self._list_directory)
        except RequestError as error:
            self._say(f"FileSystemStoragePathSource encountered a filesystem access error: {error}")
            return
        self._say(*warnings)
        with self._changed:
            current = {model.name for model in self._models or ()}
            for model, paths in aspired.items():
                if model in current:  # else a new config has just dropped it
                    self._lifecycle.aspire(model, paths)

    def _say(self, *lines: str) -> None:
        """Print what was not true at the look before."""
        for line in lines:
            if line not in self._said:
                print(line, file=sys.stderr, flush=True)
        self._said = frozenset(lines)

    def _load_version(self, action: Load) -> None:
        model, number = action.model, action.number
        try:
            servable = self._load(model, action.path)
        except TensorFlowError as error:
            print(f"Loading servable: {{name: {model} version: {number}}} failed: {error.code}: {error}", file=sys.stderr, flush=True)
            with self._changed:
                self._lifecycle.failed(model, number, error.code, str(error), self._clock())
                self._changed.notify_all()
            return
        with self._changed:
            self._serving.setdefault(model, {})[number] = LoadedVersion(number, servable)
            self._lifecycle.loaded(model, number)
            self._changed.notify_all()

    def _free_drained(self) -> bool:
        """Free the versions whose last request has ended; tell whether there was one."""
        with self._changed:
            idle = [one for one in self._draining if not one[1].users]
            self._draining = [one for one in self._draining if one not in idle]
        for model, loaded in idle:
            loaded.servable.close()
            with self._changed:
                self._lifecycle.unloaded(model, loaded.number)
        return bool(idle)

    def _take_over(self, models: Models, is_wanted: Callable[[], bool], noun: str) -> None:
        while not self._reloading.acquire(timeout=TICK):
            _require(is_wanted())
        try:
            if models is None:
                if self._models is not None:
                    only = "It is only legal to transition from one ModelConfigList to another."
                    raise RequestError("FAILED_PRECONDITION", f"Cannot transition to requested config. {only}")
                print("Taking no action for empty config.", file=sys.stderr)
                return
            self._await(self._replace(models), is_wanted, noun)
        finally:
            self._reloading.release()

    def _replace(self, models: tuple[ModelConfig, ...]) -> set[str]:
        """Take over the labels, then the models; return the names of the new models."""
        with self._changed:
            self._labels = {model.name: self._allowed_labels(model) for model in models}
            before, after = {model.name for model in self._models or ()}, {model.name for model in models}
            self._models = models
            for model in before - after:
                self._lifecycle.aspire(model, {})
        return after - before

    def _allowed_labels(self, model: ModelConfig) -> Mapping[str, int]:
        """Return the model's labels; raises RequestError where one names a version that does not serve.

        `allow_version_labels_for_unavailable_models` lets a new label do so, but not one that was there before and moves.
        """
        available = {one.number for one in self._lifecycle.states(model.name) if one.state == "AVAILABLE"}
        before = self._labels.get(model.name, {})
        for label, version in model.labels.items():
            may_be_unavailable = self._options.allow_version_labels_for_unavailable_models and before.get(label, version) == version
            if version not in available and not may_be_unavailable:
                request = f"Request to assign label to version {version} of model {model.name}"
                raise RequestError("FAILED_PRECONDITION", f"{request}, which is not currently available for inference")
        return model.labels

    def _await(self, models: Collection[str], is_wanted: Callable[[], bool], noun: str) -> None:
        """Wait until every model has come up; raises RequestError where one has not, or nobody waits any more."""
        while not all(outcomes := self._outcomes(sorted(models))):
            _require(is_wanted())
        failures = [(model, state) for model, state in zip(sorted(models), outcomes, strict=True) if state and state.state == "END"]
        if failures:
            reasons = (f"{{{{name: {model} version: {one.number}}} due to error: {one.code}: {one.message}}}, " for model, one in failures)
            raise RequestError("UNKNOWN", f"{len(failures)} {noun}(s) did not become available: {{{''.join(reasons)}}}")

    def _outcomes(self, models: Sequence[str]) -> list[VersionState | None]:
        """Return the version that decides whether a model came up, for each model; wait a little for those that have none."""
        with self._changed:
            known = self._lifecycle.outcome
            self._changed.wait_for(lambda: all(known(model) for model in models), TICK)
            return [known(model) for model in models]


@dataclass(frozen=True, slots=True)
class ModelVersions:
    """The versions of one model, as a request sees them."""

    manager: ModelManager
    model: str

    def borrow(self, version: int | None = None, label: str = "") -> AbstractContextManager[LoadedVersion]:
        """Give a version as `ModelManager.borrow` does."""
        return self.manager.borrow(self.model, version, label)

    def states(self) -> tuple[VersionState, ...]:
        """Return the state of every version since the process began, by number."""
        return self.manager.states(self.model)


def _require(wanted: bool) -> None:
    if not wanted:
        raise RequestError("CANCELLED", "the caller left before the models became available")
