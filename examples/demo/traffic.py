"""Users: real requests at a steady rate, every answer checked, every failure kept."""

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
"""Seconds a user waits."""
THREADS = 6
BULK = 16
"""Rows of a bulk request."""


@dataclass
class Tally:
    """What the users saw."""

    answered: int = 0
    right: int = 0
    rows: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Failures by what was said: the model's own sentence, or why there was no answer."""

    def summary(self) -> str:
        """One line for people."""
        failures = sum(self.failed.values())
        return f"{self.answered + failures:,} requests, {failures:,} failed, {self.right / max(self.rows, 1):.1%} of the digits right"


class Users:
    """Threads that ask at a steady rate until they are stopped; one request in ten is a bulk request."""

    def __init__(self, address: str, model: str, images: Path, rate: float) -> None:
        self.address, self.path = urlsplit(address).netloc, f"/v1/models/{model}:predict"
        self.digits = json.loads(images.read_text())
        self.rate = rate
        self.tally = Tally()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,), daemon=True) for i in range(THREADS)]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Tally:
        """Stop after the requests under way; returns what all of them saw."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.tally

    def since(self) -> Tally:
        """What was seen since the last call."""
        with self._lock:
            seen, self.tally = self.tally, Tally()
        return seen

    def _ask(self, number: int) -> None:
        chance = random.Random(number)
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        due = time.monotonic() + chance.random()
        while not self._stop.is_set():
            time.sleep(max(due - time.monotonic(), 0.0))
            due = max(due + chance.expovariate(self.rate / THREADS), time.monotonic() - 1.0)
            rows = chance.choices(self.digits, k=BULK if chance.random() < 0.1 else 1)
            problem, right = self._one(connection, rows)
            with self._lock:
                self.tally.rows += len(rows) if not problem else 0
                self.tally.right += right
                self.tally.answered += not problem
                if problem:
                    self.tally.failed[problem] += 1
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, rows: list[dict[str, object]]) -> tuple[str, int]:
        """Ask for these digits; returns what went wrong, if anything, and how many were right."""
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
        found = answer.get("predictions")
        if not isinstance(found, list) or [len(p) for p in found] != [10] * len(rows):
            return "an answer of another shape", 0
        return "", sum(p.index(max(p)) == row["label"] for p, row in zip(found, rows, strict=True))
