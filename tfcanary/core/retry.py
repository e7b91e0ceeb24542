"""One bounded loop for all calls that are tried again: the pauses grow, with jitter, until the attempts or the time are used up.

Not the library tenacity: its import costs every step 37 ms and 5 MiB, and its deadlines cannot follow the `Clock` port.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from tfcanary.core.ports import Clock


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a caller pauses between two attempts, and how many attempts it has."""

    first: float
    """Seconds between the first and the second attempt; doubled before each further one."""
    longest: float = math.inf
    """Seconds that no pause exceeds."""
    attempts: float = math.inf
    """Attempts in all, the first included. Unlimited by default: then the deadline ends them."""
    jitter: tuple[float, float] = (0.5, 1.5)
    """Each pause is multiplied by a random number between these two: callers that failed together do not return together."""
    at_deadline: bool = False
    """`True`: the last attempt begins at the deadline itself, for calls with a timeout of their own. `False`: an attempt must fit before it."""

    def before(self, number: int) -> float:
        """Seconds of the pause before attempt `number` (from 2), with its jitter."""
        # Without the bound on the exponent the power of a long series would be no float.
        return min(self.first * 2.0 ** min(number - 2, 60), self.longest) * random.uniform(*self.jitter)


@dataclass(slots=True)
class Attempt:
    """One attempt of a call that may be tried again."""

    number: int
    """The first attempt is 1."""
    pauses: Pauses
    pause: float
    """Seconds until the next attempt."""
    now: Callable[[], float]
    deadline: float
    """In the seconds that `now` returns."""
    retry_after: float = 0.0
    """Seconds that the server asks for before the next attempt (HTTP's Retry-After). The caller sets it; no pause is shorter."""

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(self.deadline - self.now(), 0.0)

    @property
    def is_last(self) -> bool:
        """Whether no attempt follows: the attempts are used up, or the deadline comes before the pause is over."""
        left = self.left
        if self.number >= self.pauses.attempts or self.retry_after > left:
            return True
        return left == 0 if self.pauses.at_deadline else max(self.pause, self.retry_after) >= left


def attempts(pauses: Pauses, seconds: float = math.inf, clock: Clock | None = None) -> Iterator[Attempt]:
    """Yield each attempt of one call and pause between two, until the attempts or the `seconds` are used up; the first is always made.

    The caller leaves the loop once an attempt succeeds. `clock` measures and waits; without it the machine's monotonic clock does.
    """
    now: Callable[[], float] = (lambda: clock.now().timestamp()) if clock else time.monotonic
    sleep = clock.sleep if clock else time.sleep
    deadline = now() + seconds
    for number in count(1):
        attempt = Attempt(number, pauses, pauses.before(number + 1), now, deadline)
        yield attempt
        if attempt.is_last:
            return
        sleep(min(max(attempt.pause, attempt.retry_after), attempt.left))
