"""The cluster's own tests take their fixtures where all others do."""

from tests.cluster.fixtures import cluster, gateway, namespace, prometheus, proxy

__all__ = ["cluster", "gateway", "namespace", "prometheus", "proxy"]
