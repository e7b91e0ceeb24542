import pytest

from tests.look.savedmodels.collection import sound


@pytest.fixture(scope="session")
def collection():
    """The sound models: read only."""
    return sound()
