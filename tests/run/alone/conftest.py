"""A recorded series of a canary that is to be promoted, behind a clock of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import FakeClock
from tests.run.alone.series import Recorded


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def recorded(clock: FakeClock) -> Iterator[Recorded]:
    server = Recorded("promote", clock.now())
    yield server
    server.close()
