"""The cluster's fixtures."""

from tests.cluster.fixtures import cluster, namespace

__all__ = ["cluster", "namespace"]
