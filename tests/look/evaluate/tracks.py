"""Two tracks in memory whose answers are compared, and the requests that they get."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tfcanary.core import codec
from tfcanary.core.domain import Look, Prediction, Request, Track
from tfcanary.core.plan import PredictionsPlan
from tfcanary.look.evaluate.predictions import compare

PLAN = PredictionsPlan(source="golden.jsonl")


@dataclass
class Clock:
    """Time that passes only in sleep, and a little in each answer."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def now(self):
        return self.at

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@dataclass
class Tracks:
    """Two servers: each a function of the request's only row, returning a row, a status with a message, or a whole body."""

    stable: object
    canary: object
    clock: Clock = field(default_factory=Clock)
    asked: list[tuple[Track, float]] = field(default_factory=list)

    def predict(self, track, request):
        self.asked.append((track, self.clock.at.timestamp()))
        self.clock.at += timedelta(seconds=0.002 if track is Track.CANARY else 0.001)
        answer = (self.canary if track is Track.CANARY else self.stable)(request.body["instances"][0])
        if isinstance(answer, tuple):
            return Prediction(answer[0], {"error": answer[1]}, 0.001)
        body = answer if isinstance(answer, dict) and ("outputs" in answer or "predictions" in answer) else {"predictions": [answer]}
        return Prediction(200, body, 0.002 if track is Track.CANARY else 0.001)


def requests(n, label=lambda i: None):
    return [Request({"instances": [i]}, f"golden:{i}", label(i)) for i in range(n)]


def one_hot(best):
    return [0.9 if k == best % 3 else 0.05 for k in range(3)]


def look_at(stable, canary, asked=None, plan=PLAN, n=100) -> Look:
    tracks = Tracks(stable, canary)
    look = compare(tracks, requests(n) if asked is None else asked, plan, tracks.clock)
    assert codec.loads(Look, codec.dumps(look)) == look  # it travels between steps
    return look


def of(look, name):
    return next(e for e in look.evidence if e.about == f"predictions/{name}")


def absent(look, name):
    return next((a.reason for a in look.absent if a.about == f"predictions/{name}"), None)


def labelled(n):
    return requests(n, label=lambda i: i % 3)
