"""A receiver, and something to tell it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.adapters.notices.receiver import Receiver
from tfcanary.core.ports import Notice


@pytest.fixture(autouse=True)
def without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers are on this machine, whatever way this machine has to the outside."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def notice() -> Notice:
    return Notice(
        id="run-1/release.rolled_back",
        kind="release.rolled_back",
        at=datetime(2026, 1, 31, 12, 30, tzinfo=UTC),
        platform="kube://serving",
        model="digits",
        run_id="run-1",
        state="rolled back",
        reason="errors 4.1 times stable's (82 of 10,480 against 20 of 10,510)",
        candidate=3,
        stable=2,
        stage=1,
    )
