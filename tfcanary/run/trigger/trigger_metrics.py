"""What a trigger has done, for Prometheus: a registry of its own, and labels that are ours alone."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from tfcanary.core.record import Dropped

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """Counters; may be used by several threads."""

    def __init__(self) -> None:
        self._registry = of = CollectorRegistry()
        self._events = Counter("tfcanary_trigger_events", "Events by what they came to.", ["answer"], registry=of)
        self._candidates = Counter("tfcanary_trigger_candidates", "Candidates by what became of them.", ["model", "fate"], registry=of)
        self._alerts = Counter("tfcanary_trigger_alerts", "Alerts by what they came to.", ["answer"], registry=of)
        self._waiting = Gauge("tfcanary_trigger_waiting", "Candidates that wait for the road.", ["model"], registry=of)

    def event(self, answer: str) -> None:
        """An event was answered."""
        self._events.labels(answer).inc()

    def alert(self, answer: str) -> None:
        """An alert was answered."""
        self._alerts.labels(answer).inc()

    def submitted(self, model: str) -> None:
        """A candidate was handed to a pipeline."""
        self._candidates.labels(model, "submitted").inc()

    def dropped(self, model: str, candidates: Iterable[Dropped]) -> None:
        """Candidates that will not be released."""
        for one in candidates:
            self._candidates.labels(model, one.fate.value).inc()

    def waiting(self, model: str, number: int) -> None:
        """How many wait."""
        self._waiting.labels(model).set(number)

    def page(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self._registry)
