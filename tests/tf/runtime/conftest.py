"""The exported models, and each of them loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tf.modelserver import served
from tfcanary.tf.runtime import Servable, load


@pytest.fixture(scope="session")
def models() -> Path:
    return served.models()


@pytest.fixture(scope="session")
def loaded(models: Path) -> Iterator[Callable[[str], Servable]]:
    servables: dict[str, Servable] = {}

    def loaded(path: str) -> Servable:
        return servables.setdefault(path, servables.get(path) or load(models / path))

    yield loaded
    for servable in servables.values():
        servable.close()
