"""A platform with a stable version and users, for releases through the compiled pipeline and KFP's own local runner."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.local.conftest import free_port
from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.adapters import local
from tfcanary.cli.demo.users import UserAnswers, Users
from tfcanary.core import codec
from tfcanary.core.domain import Traffic
from tfcanary.core.plan import Entrance, Plan
from tfcanary.core.record import Record, Release
from tfcanary.run.submit.handle import Handle
from tfcanary.run.submit.handle import release as submit

NAME = "digits"
RATE = 60.0
PLAN = {
    "weights": [50],
    "stage": {"poll": "500ms", "minimum": "3s", "maximum": "90s"},
    "judge": {
        "minimum_time": "6s",
        "minimum_requests": 100,
        "settle": "1s",
        "warmup": "1s",
        "freeze_requests": 200,
        "errors": {"margin_absolute": 0.05},
        "latency": "none",
    },
    "deploy": {"warm_timeout": "5s", "lease": "10s", "heartbeat": "10s"},
}


@dataclass
class Site:
    """Where releases happen, and what users see there."""

    folder: Path
    uri: str
    models: Path
    users: Users

    def record(self) -> Record:
        return ledger.read(adapters.open_platform(self.uri, NAME, Plan()))

    def release_of(self) -> Release:
        found = self.record().release
        assert found is not None
        return found

    def submit(self, model: str | Path, **changes: Any) -> Handle:
        plan: Plan = codec.decode(Plan, {**PLAN, **changes})
        return submit(str(self.models / model), NAME, plan, self.uri)

    def release(self, model: str | Path, **changes: Any) -> Release:
        return self.submit(model, **changes).wait()

    def traffic(self) -> Traffic:
        return adapters.open_platform(self.uri, NAME, Plan()).router.traffic()

    def weight(self) -> int:
        return self.traffic().canary

    def seen(self) -> UserAnswers:
        """What users saw since the last call."""
        return self.users.take_answers()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's models, trained once a test run."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-m", "tfcanary.cli.demo.digit_models", str(folder)], check=True, timeout=240)
    return folder


@pytest.fixture(scope="module")
def site(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Version 1 serves, users ask. One for all tests of a module: none but the last may change what is stable."""
    before = Path.cwd()
    home = tmp_path_factory.mktemp("site")
    os.chdir(home)
    folder = home / "state"
    uri = f"local://{folder}"
    local.up(folder, free_port())
    try:
        plan: Plan = codec.decode(Plan, PLAN)
        first = submit(str(models / "v1"), NAME, replace(plan, bootstrap=True), uri).wait()
        assert first.state.value == "promoted", first.reason
        users = Users(adapters.open_platform(uri, NAME, plan).router.address(), NAME, models / "users.json", RATE, tuple(Entrance))
        users.start()
        yield Site(folder, uri, models, users)
        users.stop()
    finally:
        local.down(folder)
        os.chdir(before)


@pytest.fixture
def ours() -> Callable[[UserAnswers], dict[str, int]]:
    """The failures that are not the broken model's own."""
    from tfcanary.cli.demo.four_releases import unexpected_failures

    return unexpected_failures
