"""What goes wrong between the code under test and the API server, as the test says, at run time."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

READS = ("GET", "HEAD", "OPTIONS")
REASONS = {
    409: (
        "Conflict",
        "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again",
    ),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred: etcdserver: leader changed"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}
RETRY_AFTER = 1
"""Seconds, told with 429."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    number: int
    """From 1 on, since the proxy was made or cleared."""
    write: int
    """Its number among the writes; 0: it reads."""
    method: str
    path: str
    query: str
    agent: str
    body: bytes
    at: float
    """Seconds, by time.time()."""

    def __str__(self) -> str:
        return f"{self.number}: {self.method} {self.path}{'?' if self.query else ''}{self.query}"


Of = Callable[[Asked], bool]
"""Which requests are meant."""


def any_(asked: Asked) -> bool:
    return True


@dataclass
class Kill:
    """At one write, something is done."""

    left: int
    before: bool
    act: Callable[[], object]
    of: Of


@dataclass
class Storm:
    """Refuses requests with these statuses, in turn."""

    statuses: Sequence[int]
    left: float
    share: float
    of: Of

    def __post_init__(self) -> None:
        self._turns = cycle(self.statuses)
        self._chance = random.Random(1)

    def status(self, asked: Asked) -> int | None:
        """None: let through. Nobody's reading conflicts with anything, nor does making something with a name of its own."""
        fitting = [status for status in self.statuses if status != 409 or asked.method not in (*READS, "POST")]
        if not fitting or self.left <= 0 or not self.of(asked) or self._chance.random() >= self.share:
            return None
        self.left -= 1
        return next(status for status in self._turns if status in fitting)


class Holding:
    """Requests wait until they are released."""

    def __init__(self, of: Of) -> None:
        self.of = of
        self.held = 0
        """How many wait, or have waited."""
        self.answers: list[int] = []
        """The API server's statuses for those that were released."""
        self._released = threading.Event()

    def wait(self) -> None:
        self.held += 1
        self._released.wait(60)

    def release(self) -> None:
        self._released.set()


@dataclass(frozen=True)
class Refusal:
    """An answer in the API server's place."""

    status: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json"} | ({"Retry-After": str(RETRY_AFTER)} if self.status == 429 else {})

    @property
    def body(self) -> bytes:
        reason, message = REASONS.get(self.status, ("Unknown", "as the test wants it"))
        details = {"retryAfterSeconds": RETRY_AFTER} if self.status == 429 else {}
        kind = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return json.dumps({**kind, "message": message, "reason": reason, "details": details, "code": self.status}).encode()


class Trouble:
    """Nothing goes wrong until one of these is called; `calm` ends all of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calm()

    def calm(self) -> None:
        with self._lock:
            self._kill: Kill | None = None
            self._storm: Storm | None = None
            self._seconds = 0.0
            self._holding: Holding | None = None

    def kill_at(self, n: int, when: Literal["before", "after"], act: Callable[[], object], of: Of = any_) -> None:
        """At the n-th write from now on: `before` it is forwarded (it never happens), or `after` (it has, and nobody is told).

        `act` is called, most likely to kill who asks, and the connection is closed without an answer.
        """
        with self._lock:
            self._kill = Kill(n, when == "before", act, of)

    def slow(self, seconds: float) -> None:
        """Every request takes so much longer."""
        self._seconds = seconds

    def storm(self, statuses: Sequence[int] = (409, 429), count: float = float("inf"), share: float = 1.0, of: Of = any_) -> None:
        """Answer the next `count` requests, or a share of them, with these statuses in turn; they are not forwarded."""
        with self._lock:
            self._storm = Storm(tuple(statuses), count, share, of)

    @contextmanager
    def holding(self, of: Of = any_) -> Iterator[Holding]:
        """Hold requests back until they are released, at the end of the block at the latest."""
        made = self._holding = Holding(of)
        try:
            yield made
        finally:
            self._holding = None
            made.release()

    def delay(self, asked: Asked) -> Holding | None:
        """Called for each request; returns what held it back."""
        if self._seconds:
            time.sleep(self._seconds)
        if (holding := self._holding) is None or not holding.of(asked):
            return None
        holding.wait()
        return holding

    def kill(self, asked: Asked) -> Kill | None:
        """The kill that is to happen at this request."""
        with self._lock:
            kill = self._kill
            if kill is None or not asked.write or not kill.of(asked):
                return None
            kill.left -= 1
            if kill.left:
                return None
            self._kill = None
            return kill

    def refusal(self, asked: Asked) -> Refusal | None:
        """How this request is answered in the server's place."""
        with self._lock:
            status = self._storm and self._storm.status(asked)
        return Refusal(status) if status else None
