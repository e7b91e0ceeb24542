"""tfcanary watched from outside: its own metrics, and the rules and the dashboard over them.

`families` says what is exported, `exporter` serves it. `rules`, `monitors` and `dashboard` are descriptions, which
`python -m tfcanary.run.monitor deploy/monitoring` writes as files. Nothing here changes a release.
"""

from tfcanary.run.monitor.exporter import EVERYWHERE, HERE, Exporter, Served, beside_a_watch, of_models, page, serve
from tfcanary.run.monitor.families import Seen, families

__all__ = ["EVERYWHERE", "HERE", "Exporter", "Seen", "Served", "beside_a_watch", "families", "of_models", "page", "serve"]
