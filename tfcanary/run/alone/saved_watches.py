"""The states of lone watches in a directory or a bucket: a folder for each release, with a small state and the trace of all windows.

The state is written at each poll over the one that was read, so that of two processes that judge one release, one learns of the other.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tfcanary.act import tape
from tfcanary.act.tape import Tape
from tfcanary.core import codec
from tfcanary.core.domain import Verdict
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Storage
from tfcanary.core.timeline import Timeline
from tfcanary.decide.judge import Window

SCHEMA = 1
"""Number of the format of a state."""
LINES = 60
"""Polls in a reel of the trace."""
RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""The id of a release, which becomes the name of a folder."""


@dataclass(frozen=True, slots=True)
class SavedWatch:
    """All that another process needs to go on with a watch, but for the windows on the trace."""

    schema: int
    at: datetime
    """When the last poll was."""
    began: datetime
    judge: str
    """The judge's own JSON, without its windows."""
    timeline: Timeline
    """The outline of what was seen."""
    verdict: Verdict
    requests: float
    ended: bool
    trace: Tape


def check_release(release: str) -> str:
    """Return the id of a release; raises Refused where it cannot be the name of a folder."""
    if not RELEASE.fullmatch(release):
        raise Refused(f"release {release[:80]!r}: must be 1 to 63 letters, digits and . _ -, and begin with a letter or a digit")
    return release


class SavedWatches:
    """The states below one root; `uri` is where it lies, for sentences."""

    def __init__(self, storage: Storage, uri: str) -> None:
        self._storage = storage
        self._uri = uri.rstrip("/")
        self._generations: dict[str, int] = {}
        """The generation of each release's state as this process read or wrote it last; 0 where there was none."""

    def read(self, release: str) -> tuple[SavedWatch, tuple[Window, ...]] | None:
        """Return the state of a release and all its windows; None where there is none. Raises Refused where it is not what was written."""
        name, into = f"{release}/state.json", io.BytesIO()
        found = next((blob for blob in self._storage.list(f"{release}/") if blob.name == name), None)
        self._generations[release] = found.generation if found else 0
        if found is None:
            return None
        self._storage.read(name, into, generation=found.generation)
        at = f"{self._uri}/{name}"
        saved: SavedWatch = codec.loads(SavedWatch, into.getvalue(), at=at)
        if saved.schema != SCHEMA:
            raise Refused(f"{at}: schema {saved.schema}; this is {SCHEMA}: name another --state")
        lines = tape.read(self._storage, self._uri, f"{release}/trace/", saved.trace)
        return saved, tuple(window for line in lines for window in codec.loads(tuple[Window, ...], line, at=at))

    def traced(self, release: str, trace: Tape, windows: Sequence[Window]) -> Tape:
        """Return the trace with the windows of one more poll; what was full becomes an object of its own."""
        return tape.add(tape.wind(self._storage, f"{release}/trace/", trace, LINES), codec.dumps(list(windows)))

    def write(self, release: str, saved: SavedWatch) -> None:
        """Write a state over the one that this process knows. Raises Conflict where another process wrote meanwhile."""
        try:
            blob = self._storage.write(f"{release}/state.json", codec.dumps(saved).encode(), if_generation=self._generations[release])
        except Conflict as error:
            raise Conflict(f"{self._uri}/{release}: another process judges this release ({error})") from error
        self._generations[release] = blob.generation
