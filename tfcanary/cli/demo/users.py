"""The demo's users: real requests at a steady rate, every answer checked, every failure counted."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT = 10.0
"""Seconds for which a user waits."""
THREADS = 6
BULK = 16
"""Rows of a bulk request."""


@dataclass
class UserAnswers:
    """What the users were answered, counted."""

    answered: int = 0
    """Requests with an answer of the right shape."""
    right: int = 0
    """Digits that were recognised."""
    rows: int = 0
    """Digits in all answered requests."""
    failed: Counter[str] = field(default_factory=Counter)
    """Failures by what was said: the model's own sentence, or why there was no answer."""

    @property
    def requests(self) -> int:
        """All requests, answered or not."""
        return self.answered + self.failed.total()

    def summary(self) -> str:
        """One line for people: requests, failures, and how many digits were right."""
        return f"{self.requests:,} requests, {self.failed.total():,} failed, {self.right / max(self.rows, 1):.1%} of the digits right"


class Users:
    """Threads that send requests at a steady rate until they are stopped; one request in ten is a bulk request."""

    def __init__(self, address: str, model: str, images: Path, rate: float) -> None:
        self.address, self.path = urlsplit(address).netloc, f"/v1/models/{model}:predict"
        self.digits = json.loads(images.read_text())
        self.rate = rate
        self.answers = UserAnswers()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,), daemon=True) for i in range(THREADS)]

    def start(self) -> None:
        """Begin to send requests."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> UserAnswers:
        """Stop after the requests under way; returns the answers since the last `take_answers`."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.answers

    def take_answers(self) -> UserAnswers:
        """The answers since the last call; counting begins anew."""
        with self._lock:
            taken, self.answers = self.answers, UserAnswers()
        return taken

    def _ask(self, number: int) -> None:
        chance = random.Random(number)
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        due = time.monotonic() + chance.random()
        while not self._stop.is_set():
            time.sleep(max(due - time.monotonic(), 0.0))
            due = max(due + chance.expovariate(self.rate / THREADS), time.monotonic() - 1.0)
            rows = chance.choices(self.digits, k=BULK if chance.random() < 0.1 else 1)
            problem, right = self._request(connection, rows)
            with self._lock:
                self.answers.rows += len(rows) if not problem else 0
                self.answers.right += right
                self.answers.answered += not problem
                if problem:
                    self.answers.failed[problem] += 1
        connection.close()

    def _request(self, connection: http.client.HTTPConnection, rows: list[dict[str, object]]) -> tuple[str, int]:
        """Ask for these digits; returns what went wrong, if anything, and how many were recognised."""
        body = json.dumps({"instances": [row["image"] for row in rows]})
        try:
            connection.request("POST", self.path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            return f"no answer: {error!r}", 0
        if response.status != 200:
            return str(answer.get("error", response.status)), 0
        predictions = answer.get("predictions")
        if not isinstance(predictions, list) or [len(p) for p in predictions] != [10] * len(rows):
            return "an answer of another shape", 0
        return "", sum(p.index(max(p)) == row["label"] for p, row in zip(predictions, rows, strict=True))
