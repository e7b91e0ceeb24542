"""A deterministic scheduler: actors are greenlets, time is virtual, and who goes next is decided here alone.

Every write of an actor to the world is a numbered point. A schedule is a list of choices, each of which does something at one point: it
lets the write wait, kills the process before or after it, refuses it, or loses its answer. The same choices give the same run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from greenlet import getcurrent, greenlet

from tfcanary.core.errors import Unavailable

MOST_STEPS = 100_000
"""Far more than any release takes."""
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class What(StrEnum):
    """What a choice does at a point."""

    WAIT = "waits"
    KILL_BEFORE = "is killed before"
    KILL_AFTER = "is killed after"
    FAIL = "is refused"
    LOSE = "loses the answer of"
    ABORT = "waits while a person aborts, before"


@dataclass(frozen=True, slots=True, order=True)
class Choice:
    """At the write with this number something happens; `seconds` is how long it waits."""

    at: int
    what: What
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"Choice({self.at}, What.{self.what.name}, {self.seconds:g})"


class Killed(BaseException):
    """The process of this actor has died: no `except` of the library catches it."""


class Stuck(AssertionError):
    """The virtual time is over, and somebody still works."""


@dataclass
class Process:
    """What lives and dies together: an actor and whatever runs beside it, with a clock of its own."""

    name: str
    offset: timedelta = timedelta(0)
    dead: bool = False
    on_death: Callable[[], None] | None = None


@dataclass
class Actor:
    """One line of execution."""

    process: Process
    body: Callable[[], object]
    let: greenlet | None = None
    over: bool = False


@dataclass
class Scheduler:
    """The hub: it runs whoever is due."""

    choices: Mapping[int, Choice] = field(default_factory=dict)
    now: float = 0.0
    writes: int = 0
    trace: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    on_time: list[Callable[[], None]] = field(default_factory=list)
    """Called whenever time has passed."""
    on_abort: Callable[[], None] = lambda: None
    """Lets a person abort the release."""
    _due: list[tuple[float, int, Actor]] = field(default_factory=list)
    _order: int = 0
    _actors: dict[greenlet, Actor] = field(default_factory=dict)
    _hub: greenlet | None = None

    def spawn(self, process: Process, body: Callable[[], object], after: float = 0.0) -> Actor:
        """A new actor that begins in so many seconds."""
        actor = Actor(process, body)
        self._schedule(actor, after)
        return actor

    def run(self, until: float) -> None:
        """Run until nobody has anything left to do. Raises Stuck where that is not so by `until`."""
        self._hub = getcurrent()
        for _ in range(MOST_STEPS):
            if not self._due:
                return
            due, _, actor = heapq.heappop(self._due)
            if due > until:
                raise Stuck(f"{actor.process.name} is still at work after {until:.0f} s")
            if due > self.now:
                self.now = due
                for call in self.on_time:
                    call()
            if not actor.over:
                self._step(actor)
        raise Stuck(f"{MOST_STEPS} steps were not enough: somebody asks again and again without waiting")

    def current(self) -> Actor | None:
        """The actor that runs; None outside of all, for example in a thread of the library's."""
        return self._actors.get(getcurrent())

    def sleep(self, seconds: float) -> None:
        """The running actor waits."""
        actor = self.current()
        assert actor is not None, "only actors sleep"
        self._schedule(actor, max(seconds, 0.0))
        assert self._hub is not None
        self._hub.switch()
        self._alive(actor)

    def clock(self, process: Process) -> Clock:
        """The clock of a process's machine."""
        return Clock(self, process)

    def point(self, what: str, effect: Callable[[], Any]) -> Any:
        """One write of the running actor: numbered, traced, and subject to the choice at its number."""
        actor = self.current()
        if actor is None:
            return effect()
        self._alive(actor)
        self.writes += 1
        choice = self.choices.get(self.writes)
        self._say(actor, what, choice)
        if choice is None:
            return effect()
        if choice.what in (What.WAIT, What.ABORT):
            if choice.what is What.ABORT:
                self.on_abort()
            self.sleep(choice.seconds)
            return effect()
        if choice.what is What.KILL_BEFORE:
            self.kill(actor.process)
            raise Killed
        if choice.what is What.FAIL:
            raise Unavailable(f"{what}: refused by the schedule")
        effect()
        if choice.what is What.KILL_AFTER:
            self.kill(actor.process)
            raise Killed
        raise Unavailable(f"{what}: its answer was lost by the schedule")

    def kill(self, process: Process) -> None:
        """A process and all that runs in it ends without another word."""
        if process.dead:
            return
        process.dead = True
        self.trace.append(f"{self.now:8.1f}  {process.name} is dead")
        if process.on_death:
            process.on_death()

    def say(self, line: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.now:8.1f}  {line}")

    def _say(self, actor: Actor, what: str, choice: Choice | None) -> None:
        chosen = f"   <-- {choice.what.value}{f' {choice.seconds:g} s' if choice.seconds else ''}" if choice else ""
        self.trace.append(f"{self.now:8.1f} #{self.writes:<4} {actor.process.name}: {what}{chosen}")

    def _schedule(self, actor: Actor, after: float) -> None:
        self._order += 1
        heapq.heappush(self._due, (self.now + after, self._order, actor))

    def _step(self, actor: Actor) -> None:
        if actor.process.dead and actor.let is None:
            actor.over = True
            return
        if actor.let is None:
            actor.let = greenlet(lambda: self._live(actor))
            self._actors[actor.let] = actor
        actor.let.switch()

    def _live(self, actor: Actor) -> None:
        try:
            actor.body()
        except Killed:
            pass
        finally:
            actor.over = True
            self._actors.pop(getcurrent(), None)

    def _alive(self, actor: Actor) -> None:
        if actor.process.dead or actor.over:
            raise Killed


@dataclass(frozen=True)
class Clock:
    """The Clock port on one machine: its time is wrong by the machine's offset."""

    scheduler: Scheduler
    process: Process

    def now(self) -> datetime:
        return START + timedelta(seconds=self.scheduler.now) + self.process.offset

    def sleep(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)

    @contextmanager
    def beside(self, seconds: float, call: Callable[[], None]) -> Iterator[None]:
        ended: list[bool] = []

        def again() -> None:
            while not ended:
                self.scheduler.sleep(seconds)
                if not ended:
                    call()

        actor = self.scheduler.spawn(self.process, again)
        try:
            yield
        finally:
            ended.append(True)
            actor.over = actor.over or actor.let is None
