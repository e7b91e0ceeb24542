"""The trigger's own metrics for Prometheus, in a registry of their own; no label holds text of a caller."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from tfcanary.core.record import Dropped

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """The counters of one trigger; they may be used by several threads."""

    def __init__(self) -> None:
        self._registry = of = CollectorRegistry()
        self._events = Counter("tfcanary_trigger_events", "Events by their result.", ["answer"], registry=of)
        self._candidates = Counter("tfcanary_trigger_candidates", "Candidates by their fate.", ["model", "fate"], registry=of)
        self._alerts = Counter("tfcanary_trigger_alerts", "Alerts by their result.", ["answer"], registry=of)
        self._waiting = Gauge("tfcanary_trigger_waiting", "Candidates that wait for their turn.", ["model"], registry=of)

    def count_event(self, answer: str) -> None:
        """Count one event by its result."""
        self._events.labels(answer).inc()

    def count_alert(self, answer: str) -> None:
        """Count one alert by its result."""
        self._alerts.labels(answer).inc()

    def count_submission(self, model: str) -> None:
        """Count one candidate that was submitted as a pipeline."""
        self._candidates.labels(model, "submitted").inc()

    def count_dropped(self, model: str, candidates: Iterable[Dropped]) -> None:
        """Count candidates that will not be released, each by its fate."""
        for one in candidates:
            self._candidates.labels(model, one.fate.value).inc()

    def set_waiting(self, model: str, number: int) -> None:
        """Set how many candidates of a model wait."""
        self._waiting.labels(model).set(number)

    def page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)
