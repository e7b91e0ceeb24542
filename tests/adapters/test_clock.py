"""The machine's clock: calls beside a block."""

from __future__ import annotations

import threading
import time

import pytest

from tests.adapters.local.conftest import until
from tfcanary.adapters.clock import SystemClock
from tfcanary.core.errors import Held


def test_calls_are_made_beside_the_block_until_it_ends() -> None:
    calls: list[float] = []
    with SystemClock().beside(0.02, lambda: calls.append(time.monotonic())):
        until(lambda: len(calls) >= 3)
    made = len(calls)
    time.sleep(0.1)
    assert len(calls) == made


def test_no_call_is_made_at_the_beginning_nor_after_a_short_block() -> None:
    calls: list[int] = []
    began = time.monotonic()
    with SystemClock().beside(60, lambda: calls.append(1)):
        pass
    assert calls == []
    assert time.monotonic() - began < 5


def test_a_call_that_raises_ends_the_calls_and_not_the_block(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise Held("another process holds it")

    with SystemClock().beside(0.01, call):
        until(lambda: "another process holds it" in caplog.text)
        time.sleep(0.1)
    assert calls == [1]


def test_an_error_in_the_block_ends_the_calls_and_is_raised() -> None:
    calls: list[int] = []

    def block() -> None:
        with SystemClock().beside(0.01, lambda: calls.append(1)):
            until(lambda: calls)
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        block()
    made = len(calls)
    time.sleep(0.05)
    assert len(calls) == made


def test_a_call_under_way_is_over_when_the_block_is() -> None:
    began, over = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        time.sleep(0.2)
        over.set()

    with SystemClock().beside(0.01, slow):
        began.wait(20)
    assert over.is_set()
