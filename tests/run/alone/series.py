"""One recorded series of a canary beside its stable track, and a Prometheus that remembers it, whoever asks for which instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.adapters.metrics.prometheus_server import ANSWERED, BUCKET, FAILED, Asked, Page, PrometheusServer, all_series, labelled, scrapes
from tests.conftest import QUICK
from tests.fakes import FakeClock
from tfcanary.adapters.metrics.exposition import BOUNDS
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.core import codec
from tfcanary.core.domain import Track
from tfcanary.core.plan import Plan
from tfcanary.run.alone.lone_watch import FixedSplit, LoneWatch, Opinion, Subject
from tfcanary.run.alone.saved_watches import SavedWatches

WEIGHT = 10
PLAN: dict[str, Any] = {
    "weights": [WEIGHT],
    "stage": {"poll": "10s", "minimum": "60s", "maximum": "300s"},
    "deploy": {"lease": "60s"},
    "judge": QUICK["judge"],
}
SELECTORS = {Track.STABLE: {"track": "stable"}, Track.CANARY: {"track": "canary"}}
SCENARIOS = {"promote": (90.0, 10.0, 0.001), "rollback": (90.0, 10.0, 0.2), "undecided": (1.8, 0.2, 0.0)}
"""By the answer that is right: the requests to stable and to the canary each second, and the share of the canary's that fails."""


def plan_of(**more: Any) -> Plan:
    decoded: Plan = codec.decode(Plan, {**PLAN, **more})
    return decoded


@dataclass(frozen=True)
class Behaviour:
    """What a pod counts."""

    rate: float
    failing: float

    def series(self, seconds: float) -> dict[str, float]:
        """Its series so many seconds after it started; uneven from poll to poll, and the same for whoever asks."""
        requests = int(self.rate * seconds + self.rate * (int(seconds) % 7))
        failed = int(requests * self.failing)
        found = {f'{ANSWERED}{{API="Predict",entrypoint="REST"}}': float(requests - failed)}
        for k, bound in enumerate(BOUNDS):
            share = min(max((k - 14) / 5, 0.0), 1.0)
            found[f'{BUCKET}{{API="Predict",entrypoint="REST",le="{bound}"}}'] = float(int((requests - failed) * share))
        return {**found, f'{FAILED}{{status="INTERNAL"}}': float(failed)}


class Recorded(PrometheusServer):
    """Runs from construction to `close`; the pods started an hour before `began`, the canary at `born`."""

    def __init__(self, answer: str, began: datetime) -> None:
        stable, canary, failing = SCENARIOS[answer]
        self.behaviours = {"stable": Behaviour(stable, 0.001), "canary": Behaviour(canary, failing)}
        self.since = (began - timedelta(hours=1)).timestamp()
        self.born = self.since
        self.gone: set[str] = set()
        """The tracks that Prometheus does not see."""
        super().__init__()

    def result(self, asked: Asked) -> list[dict[str, Any]]:
        track = asked.params["query"].partition('track="')[2].partition('"')[0]
        instant = float(asked.params.get("time", self.since))
        if asked.path.endswith("query_range") or track in self.gone or (track == "canary" and instant < self.born):
            return []
        page = Page(f"{track}-0", track, series=self.behaviours[track].series(instant - self.since))
        if asked.params["query"].endswith("]"):
            return [scrapes(page, instant)]
        return [{"metric": labelled(page, name), "value": [instant, str(value)]} for name, value in all_series(page)]

    def source(self, plan: Plan) -> PrometheusSource:
        return PrometheusSource(self.url, "m", plan.metrics, SELECTORS, judge=plan.judge)

    def watch(self, clock: FakeClock, kept: SavedWatches | None = None, release: str = "r-1", **more: Any) -> LoneWatch:
        plan = plan_of(**more)
        return LoneWatch(Subject("m", plan, self.source(plan), FixedSplit(WEIGHT)), release, clock, kept)


def opinions(watch: LoneWatch, clock: FakeClock, most: int = 100) -> list[Opinion]:
    """What the watch says at each poll until it ends, or at the first so many polls."""
    said: list[Opinion] = []
    while len(said) < most and not (said and said[-1].ended):
        said.append(watch.poll())
        clock.sleep(10)
    return said
