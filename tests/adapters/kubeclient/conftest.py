"""The cluster's fixtures, and a server that answers as the test wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapters.kubeclient.api_server import ApiServer
from tests.cluster.fixtures import cluster, namespace

__all__ = ["cluster", "namespace"]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.close()
