"""The demo's users: real requests at a steady rate over REST and gRPC, every answer checked, every failure counted."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfcanary.core.plan import Entrance

TIMEOUT = 10.0
"""Seconds for which a user waits."""
THREADS = 6
BULK = 16
"""Rows of a bulk request."""
INPUT, OUTPUT = "image", "probabilities"
"""The names in the demo's signatures, which gRPC requests name."""


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


class _Unanswered(Exception):
    """A request without a right answer; the text says why."""


class _RestClient:
    """One user's connection to the REST API."""

    def __init__(self, address: str, model: str) -> None:
        self._connection, self._path = http.client.HTTPConnection(address, timeout=TIMEOUT), f"/v1/models/{model}:predict"

    def predict(self, images: list[object]) -> object:
        """The predictions as JSON has them. Raises _Unanswered."""
        try:
            self._connection.request("POST", self._path, json.dumps({"instances": images}), {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise _Unanswered(f"no answer: {error!r}") from error
        if response.status != 200:
            raise _Unanswered(str(answer.get("error", response.status)))
        return answer.get("predictions")

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()


class _GrpcClient:
    """One user's channel to the PredictionService."""

    def __init__(self, address: str, model: str) -> None:
        import grpc

        from tfcanary.tf.wire import messages

        # A channel that is like another one would share its connection.
        self._channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        method, answer = "/tensorflow.serving.PredictionService/Predict", messages.PredictResponse
        self._call = self._channel.unary_unary(method, messages.PredictRequest.SerializeToString, answer.FromString)
        self._model = model

    def predict(self, images: list[object]) -> object:
        """The predictions, a row for each image. Raises _Unanswered."""
        import grpc
        import numpy as np

        from tfcanary.tf.wire import messages, tensor

        inputs = {INPUT: tensor.to_proto(np.array(images, np.float32))}
        try:
            answer = self._call(messages.PredictRequest(model_spec={"name": self._model}, inputs=inputs), timeout=TIMEOUT)
        except grpc.RpcError as error:
            raise _Unanswered(str(error.details() or error.code().name)) from error
        return tensor.to_array(answer.outputs[OUTPUT]).tolist()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


_CLIENTS: Mapping[Entrance, type[_RestClient | _GrpcClient]] = {Entrance.REST: _RestClient, Entrance.GRPC: _GrpcClient}


class Users:
    """Threads that send requests at a steady rate until they are stopped; one request in ten is a bulk request."""

    def __init__(self, address: str, model: str, images: Path, rate: float, entrances: Sequence[Entrance] = (Entrance.REST,)) -> None:
        """`rate`: requests a second, of which each entrance gets an equal part; `address`: a URL at which all entrances are."""
        self.address, self.model = urlsplit(address).netloc, model
        self.digits = json.loads(images.read_text())
        self.rate = rate
        self.answers = UserAnswers()
        self._entrances = entrances
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
        client = _CLIENTS[self._entrances[number % len(self._entrances)]](self.address, self.model)
        due = time.monotonic() + chance.random()
        while not self._stop.is_set():
            time.sleep(max(due - time.monotonic(), 0.0))
            due = max(due + chance.expovariate(self.rate / THREADS), time.monotonic() - 1.0)
            rows = chance.choices(self.digits, k=BULK if chance.random() < 0.1 else 1)
            problem, right = _request(client, rows)
            with self._lock:
                self.answers.rows += len(rows) if not problem else 0
                self.answers.right += right
                self.answers.answered += not problem
                if problem:
                    self.answers.failed[problem] += 1
        client.close()


def _request(client: _RestClient | _GrpcClient, rows: list[dict[str, Any]]) -> tuple[str, int]:
    """Ask for these digits; returns what went wrong, if anything, and how many were recognised."""
    try:
        predictions = client.predict([row["image"] for row in rows])
    except _Unanswered as error:
        return str(error), 0
    if not isinstance(predictions, list) or [len(p) for p in predictions] != [10] * len(rows):
        return "an answer of another shape", 0
    return "", sum(p.index(max(p)) == row["label"] for p, row in zip(predictions, rows, strict=True))
