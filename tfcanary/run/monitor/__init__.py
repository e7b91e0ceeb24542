"""Monitoring: tfcanary's own metrics for Prometheus, and the alert rules and the Grafana dashboard over them.

`families` computes the metrics and `exporter` serves them. `rules`, `monitors` and `dashboard` are descriptions, which
`python -m tfcanary.run.monitor deploy/monitoring docs/monitoring.md` writes as files. Nothing here changes a release.
"""

from tfcanary.run.monitor.exporter import EVERYWHERE, HERE, Exporter, MetricsServer, models_exporter, page, serve, serve_beside_watch
from tfcanary.run.monitor.families import ModelReading, families
from tfcanary.run.monitor.recent import RecentRecords

__all__ = [
    "EVERYWHERE",
    "HERE",
    "Exporter",
    "MetricsServer",
    "ModelReading",
    "RecentRecords",
    "families",
    "models_exporter",
    "page",
    "serve",
    "serve_beside_watch",
]
