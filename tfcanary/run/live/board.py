"""What the live pages show: the records are read once for all viewers, and a page is rendered once for each change.

So the platform is asked equally often for one viewer and for two hundred, and not at all while nobody looks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tfcanary import adapters
from tfcanary.act import checkpoint
from tfcanary.core.errors import TfcanaryError
from tfcanary.core.record import Record, State
from tfcanary.report.blocks import Badge, ReportPage
from tfcanary.report.of_models import models_page, path_of
from tfcanary.report.plots.glyph import Tone
from tfcanary.run import steps
from tfcanary.run.live.model_page import model_page

log = logging.getLogger("tfcanary.run.live")

REFRESH = 2.0
"""Seconds between two reads of the records."""
FASTEST = 5.0
"""Least seconds between two pages of a release that is watched: its polls change no record."""
PATIENCE = 5.0
"""Seconds for which a read is tried again; meanwhile the pages show what was read before."""
ALL = ""
"""The name of the page of all models; no model has it."""

Revision = tuple[int, int]
"""How often what a page shows has changed, and in which interval of its polls it is."""


@dataclass(slots=True)
class Board:
    """The records of a platform as they were last read, and the pages that show them. Its methods may be called by several threads."""

    platform_uri: str
    clock: Callable[[], float] = time.monotonic
    _found: dict[str, Record | TfcanaryError] = field(default_factory=dict)
    _changes: dict[str, int] = field(default_factory=lambda: {ALL: 0})
    _problem: str = ""
    _read_at: float | None = None
    _pages: dict[str, tuple[Revision, ReportPage]] = field(default_factory=dict)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _rendering: threading.Lock = field(default_factory=threading.Lock)

    def revision(self, model: str = ALL) -> Revision | None:
        """Return what the page of a model, or of all, is at; None where there is no such model. Reads the records where they are too old."""
        self._refresh()
        found = self._found.get(model)
        if model != ALL and found is None:
            return None
        release = found.active if isinstance(found, Record) else None
        watched = release is not None and release.state is State.WATCHED
        every = max(release.plan.stage.poll.total_seconds(), FASTEST) if release and watched else None
        return self._changes[model], int(self.clock() / every) if every else 0

    def page(self, model: str = ALL) -> tuple[Revision, ReportPage] | None:
        """Return the page of a model, or of all, with its revision; None where there is no such model."""
        with self._rendering:
            revision = self.revision(model)
            if revision is None:
                return None
            if self._pages.get(model, (None,))[0] != revision:
                self._pages[model] = revision, self._rendered(model)
            return self._pages[model]

    def _refresh(self) -> None:
        """Read the records where nobody else does and the last ones are older than REFRESH; what cannot be read stays as it was."""
        if not self._reading.acquire(blocking=self._read_at is None):
            return
        try:
            if self._read_at is None or self.clock() - self._read_at >= REFRESH:
                self._read()
                self._read_at = self.clock()
        finally:
            self._reading.release()

    def _read(self) -> None:
        problem, found = "", self._found
        try:
            found = adapters.records(self.platform_uri, PATIENCE)
        except TfcanaryError as error:
            problem = str(error)
            log.warning("%s", problem)
        is_new = problem != self._problem
        changed = {model for model in {*found, *self._found} if is_new or _value(found.get(model)) != _value(self._found.get(model))}
        if changed or is_new:
            changed.add(ALL)
        self._found, self._problem = found, problem
        self._changes |= {model: self._changes.get(model, 0) + 1 for model in changed}

    def _rendered(self, model: str) -> ReportPage:
        if model == ALL:
            page = models_page(self.platform_uri, self._found, lambda name: f"models/{path_of(name)}")
        else:
            page = self._model_page(model)
        if not self._problem:
            return page
        return replace(page, answer=Badge(Tone.DOUBT, "What is shown may be old"), why=f"The platform cannot be read now: {self._problem}")

    def _model_page(self, model: str) -> ReportPage:
        found = self._found[model]
        if isinstance(found, TfcanaryError):
            return ReportPage(model, model, Badge(Tone.DOUBT, "Unknown"), str(found), (), ())
        try:
            step = steps.reopen_step(self.platform_uri, model)
            kept = steps.read_checkpoint(step)
            timeline = checkpoint.read_timeline(step.platform, step.run_id, kept) if kept else None
        except TfcanaryError as error:
            page = model_page(found, None, None, self.platform_uri, datetime.now(UTC))
            return replace(page, facts=(*page.facts, ("polls", f"cannot be read now: {error}")))
        return model_page(found, kept, timeline, self.platform_uri, step.platform.clock.now())


def _value(found: Record | TfcanaryError | None) -> object:
    """What is compared: two errors are equal where they say the same."""
    return str(found) if isinstance(found, TfcanaryError) else found
