"""The models, a way to start servers, and one server of all models that most tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tf.modelserver import served
from tests.tf.modelserver.served import Running

Start = Callable[..., Running]


@pytest.fixture(scope="session")
def models() -> Path:
    return served.models()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server; all are stopped after the test."""
    running = []

    def start(*arguments: str, **others) -> Running:
        running.append(served.nursery().start(tmp_path / f"server{len(running)}", *arguments, **others))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All models; of `half` both versions, with labels."""
    both = f"""name: "half" base_path: "{models}/half" model_platform: "tensorflow" model_version_policy {{ all {{}} }}
        version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "canary" value: 2 }} version_labels {{ key: "gone" value: 9 }}"""
    names = ("pair", "words", "strict", "log", "slow", "table", "optional", "layers", "numbers", "examples")
    running = served.nursery().start(
        tmp_path_factory.mktemp("server"),
        "--allow_version_labels_for_unavailable_models",
        "--rest_api_timeout_in_ms=2000",
        "--enable_grpc_healthcheck_service",
        models={"half": both, **{name: models / name for name in names}},
    )
    yield running.await_ports()
    running.stop()
