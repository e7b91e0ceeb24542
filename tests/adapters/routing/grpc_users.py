"""gRPC for tests: a server that answers predictions with its version, and users who ask over a channel that stays open."""

from __future__ import annotations

import collections
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from scipy import stats

PREDICT = "/tensorflow.serving.PredictionService/Predict"
DOUBT = 0.001
"""How often a right share lies outside of the interval in which it is looked for: that of 99.9 %."""


def serve(number: int) -> tuple[grpc.Server, int]:
    """A server and its port."""
    service, _, method = PREDICT[1:].partition("/")
    predict = grpc.unary_unary_rpc_method_handler(lambda request, context: json.dumps({"predictions": [number]}).encode())
    server = grpc.server(ThreadPoolExecutor(4), handlers=[grpc.method_handlers_generic_handler(service, {method: predict})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def ask(address: str, requests: int) -> collections.Counter[int]:
    """The versions that answered that many requests over one channel; raises grpc.RpcError at the first failure."""
    with grpc.insecure_channel(address.removeprefix("http://")) as channel:
        predict = channel.unary_unary(PREDICT)
        return collections.Counter(_version(predict) for _ in range(requests))


@contextmanager
def asking(address: str) -> Iterator[tuple[list[int], list[str]]]:
    """In the block a user asks without a pause over one channel: the versions that answered, and what failed."""
    answers: list[int] = []
    failed: list[str] = []
    enough = threading.Event()

    def use() -> None:
        with grpc.insecure_channel(address.removeprefix("http://")) as channel:
            predict = channel.unary_unary(PREDICT)
            while not enough.wait(0.002):
                try:
                    answers.append(_version(predict))
                except grpc.RpcError as error:
                    failed.append(str(error))

    user = threading.Thread(target=use)
    user.start()
    try:
        yield answers, failed
    finally:
        enough.set()
        user.join()


def _version(predict: Callable[..., bytes]) -> int:
    """The answer is that of REST, as text: routers look at no answer."""
    return int(json.loads(predict(b"", timeout=20))["predictions"][0])


def is_share(count: int, of: int, percent: float) -> bool:
    """Whether a count lies in the interval in which a binomial one with this share does."""
    return bool(stats.binomtest(count, of, percent / 100).pvalue > DOUBT)
