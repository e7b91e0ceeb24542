"""The versions of all models as a state machine: which are aspired (to be served), and what is to be done next.

START → LOADING → AVAILABLE → UNLOADING → END. A version that cannot be loaded goes to END with an error and is not tried
again until it was no longer aspired; versions that were loaded before go on serving. Versions in END stay in the list until
the process ends. Nothing here loads a model, reads a file or a clock, or starts a thread: `manager.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tfcanary.tf.modelserver.base_paths import Versions


@dataclass(frozen=True, slots=True)
class VersionState:
    """The state of one version, as GetModelStatus reports it."""

    number: int
    state: str
    code: str = "OK"
    """`OK`, or the code of the error with which the load failed."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """The version is to be loaded from its path."""

    model: str
    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Unload:
    """The version is to be given no more requests, and to be freed once its last request has ended."""

    model: str
    number: int


@dataclass(frozen=True, slots=True)
class _Version:
    state: VersionState
    path: Path
    aspired: bool = True
    attempts: int = 0
    """How many attempts to load it have failed."""
    end: VersionState | None = None
    """The state in which it ends unless a later attempt succeeds."""
    due: float | None = 0.0
    """The time of its next attempt; None where there is nothing to attempt."""


class Lifecycle:
    """The state machine; times are seconds of any clock that never goes back."""

    def __init__(self, retries: int = 0, retry_seconds: float = 0.0) -> None:
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._models: dict[str, dict[int, _Version]] = {}

    def states(self, model: str) -> tuple[VersionState, ...]:
        """Return the state of every version of a model since the process began, by number."""
        return tuple(version.state for _, version in sorted(self._models.get(model, {}).items()))

    def aspire(self, model: str, paths: Versions) -> None:
        """Take these versions, and no others, as those of the model that should serve."""
        versions = self._models.setdefault(model, {})
        for number, path in paths.items():
            known = versions.get(number)
            if known is None or (known.state.state == "END" and not known.aspired):
                versions[number] = _Version(VersionState(number, "START"), path)
            elif not known.aspired:
                versions[number] = replace(known, aspired=True, path=path)
        for number in versions.keys() - paths.keys():
            versions[number] = _dismissed(versions[number])

    def outcome(self, model: str) -> VersionState | None:
        """Return a version that tells whether the model came up: one that serves, or the highest where all have ended.

        None while neither is so, and where no version is aspired.
        """
        states = [one.state for _, one in sorted(self._models.get(model, {}).items(), reverse=True) if one.aspired]
        serving = [state for state in states if state.state == "AVAILABLE"]
        have_ended = all(state.state == "END" for state in states)
        return next(iter(serving or (states if have_ended else ())), None)

    def next_action(self, now: float) -> Load | Unload | None:
        """Return what is to be done at this time, and note that it has begun; None where there is nothing to do.

        A version is unloaded before another is loaded, and of several to load the highest comes first.
        """
        for model, versions in self._models.items():
            if (number := _superfluous(versions)) is not None:
                self._set(model, number, "UNLOADING")
                return Unload(model, number)
        for model, versions in self._models.items():
            if due := [number for number, one in versions.items() if one.due is not None and one.due <= now]:
                self._set(model, max(due), "LOADING")
                return Load(model, max(due), versions[max(due)].path)
        return None

    def loaded(self, model: str, number: int) -> None:
        """Note that the version serves."""
        self._set(model, number, "AVAILABLE")

    def failed(self, model: str, number: int, code: str, message: str, now: float) -> None:
        """Note that an attempt to load the version failed; it is tried again unless this was the last attempt."""
        version = self._models[model][number]
        attempts, end = version.attempts + 1, VersionState(number, "END", code, message)
        if version.aspired and attempts <= self._retries:
            version = replace(version, attempts=attempts, end=end, due=now + self._retry_seconds)
        else:
            version = replace(version, state=end)
        self._models[model][number] = version

    def unloaded(self, model: str, number: int) -> None:
        """Note that the version was freed; it starts again where it is aspired again meanwhile."""
        version = self._models[model][number]
        if version.aspired:
            self._models[model][number] = _Version(VersionState(number, "START"), version.path)
        else:
            self._set(model, number, "END")

    def _set(self, model: str, number: int, state: str) -> None:
        version = self._models[model][number]
        self._models[model][number] = replace(version, due=None, state=VersionState(number, state))


def _dismissed(version: _Version) -> _Version:
    """Return the version as it is once it is no longer aspired: an attempt that has not begun is not made."""
    state = version.state if version.due is None else version.end or replace(version.state, state="END")
    return replace(version, aspired=False, due=None, state=state)


def _superfluous(versions: Mapping[int, _Version]) -> int | None:
    """Return the lowest version that may be unloaded; None where there is none.

    A version that is not aspired serves on until one that is aspired serves, unless none is aspired, or two such serve.
    """
    serving = {number for number, one in versions.items() if one.state.state == "AVAILABLE"}
    aspired = {number for number, one in versions.items() if one.aspired}
    others = sorted(serving - aspired)
    return others[0] if others and (not aspired or serving & aspired or len(others) > 1) else None
