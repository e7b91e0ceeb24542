"""The cluster of all tests, and what its drills have."""

from tests.cluster.drills.conftest import models, ours
from tests.cluster.fixtures import cluster, namespace, prometheus, proxy

__all__ = ["cluster", "models", "namespace", "ours", "prometheus", "proxy"]
