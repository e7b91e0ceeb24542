"""What the bodies of components are called with: output artifacts, a release on ports in memory, and a real SavedModel."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.deploy_canary.component import deploy_canary
from components.push_model.component import push_model
from tests.conftest import QUICK
from tests.fakes import World
from tests.look.savedmodel.family import family
from tests.process import Behaviour
from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.core.plan import Plan
from tfcanary.look import savedmodel

RELEASE: dict[str, Any] = {"model_name": "digits", "platform": "fake://", "plan": QUICK, "run_id": "run-1"}
OWNER = {key: RELEASE[key] for key in ("model_name", "platform", "run_id")}
LOOK = ("evidence", "report", "summary")
MEASURED = (*LOOK, "metrics")
ENDED = ("report", "summary", "metrics")
MODEL = "good"


@dataclass
class Output:
    """An output artifact, as KFP hands it to a body."""

    path: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(Path(self.path).read_text())


@pytest.fixture
def outputs(tmp_path: Path) -> Callable[..., dict[str, Output]]:
    """Output artifacts by name, in folders that do not exist yet."""
    count = iter(range(1000))

    def made(*names: str) -> dict[str, Output]:
        step = tmp_path / f"step-{next(count)}"
        return {name: Output(str(step / name)) for name in names}

    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))


@pytest.fixture
def pushed(world: World, plan: Plan) -> int:
    """The candidate lies in the bucket."""
    ledger.begin(world.platform(), plan, "run-1")
    model = family() / MODEL
    number: int = push_model.python_func(model_uri=str(model), digest=savedmodel.manifest(model).digest, **RELEASE)
    return number


@pytest.fixture
def deployed(world: World, pushed: int, outputs: Callable[..., dict[str, Output]]) -> int:
    """The candidate runs at weight 0."""
    world.behaviours[pushed] = Behaviour(answer=0.5)
    assert deploy_canary.python_func(version=pushed, **RELEASE, **outputs(*LOOK)) == "pass"
    return pushed
