import shutil
from pathlib import Path

import pytest

from tests.look.savedmodel.family import family


@pytest.fixture(scope="session")
def models() -> Path:
    """The exported models: read only."""
    return family()


@pytest.fixture
def copy(models, tmp_path):
    """A copy of a model that a test may break."""

    def made(name: str = "good") -> Path:
        return Path(shutil.copytree(models / name, tmp_path / name))

    return made
