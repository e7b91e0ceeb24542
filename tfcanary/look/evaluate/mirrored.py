"""Joins recorded answers of both tracks to the same requests: mirrored traffic, by the ids of the requests. It sends nothing.

A mirroring proxy (Envoy, Istio, KServe) keeps the id in both copies of a request, and each track has a log. `evaluate.predictions`
compares the pairs in the same way as answers to requests that it has sent itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcanary.core.domain import COMPARED, Evidence, Finding, Prediction, Request, Track
from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources import pieces
from tfcanary.look.evaluate.sources.piece import Format
from tfcanary.look.evaluate.sources.request_logs import exchanges

MOST = 100_000
"""Largest number of the canary's answers in memory that wait for stable's answer to the same request."""

Pair = tuple[Request, Prediction, Prediction]


def has_mirrored_logs(path: Path) -> bool:
    """Whether a folder holds a folder of logs for each track."""
    return all((path / track.value).is_dir() for track in COMPARED)


@dataclass(slots=True)
class MirroredLogs:
    """The logs below `stable/` and `canary/`, with the numbers of requests that were paired and that were not."""

    path: Path
    paired: int = 0
    alone: int = 0
    """Number of the canary's requests without an id, or without stable's answer to the same request."""
    unread: int = 0
    """Number of records of both tracks without their other half, or without valid JSON."""

    def pairs(self, limit: int) -> Iterator[Pair]:
        """At most `limit` requests with both answers, in the order of stable's log. Raises Refused where a log cannot be read."""
        waiting: dict[str, tuple[Mapping[str, Any], Prediction]] = {}
        for request_id, body, answer in self._records(Track.CANARY):
            if request_id and len(waiting) < MOST:
                waiting[request_id] = body, answer
            self.alone += not request_id
        for request_id, body, answer in self._records(Track.STABLE):
            if self.paired >= limit:
                break
            partner = waiting.pop(request_id, None) if request_id else None
            if partner is None:
                continue
            if partner[0] != body:
                self.alone += 1  # two different requests with one id are no mirrored pair
                continue
            self.paired += 1
            yield Request(body, request_id), answer, partner[1]
        self.alone += len(waiting) if self.paired < limit else 0

    def evidence(self) -> Evidence:
        """Evidence about the number of pairs and of requests without a partner; complete only after `pairs` has ended."""
        figures: dict[str, float | str] = {"pairs": self.paired, "canary_alone": self.alone, "unread": self.unread}
        reason = f"{self.paired:,} requests have an answer of each track in the logs"
        if not self.paired:
            reason = f"no request of the canary's log is in stable's log by its id: nothing was compared; {self.alone:,} have no partner"
            return Evidence("predictions/pairs", Finding.INCONCLUSIVE, reason, figures=figures)
        if self.alone or self.unread:
            reason += (
                f"; {self.alone:,} of the canary's have no partner, and {self.unread:,} records could not be read: they are not compared"
            )
            return Evidence("predictions/pairs", Finding.WARN, reason, gating=False, figures=figures)
        return Evidence("predictions/pairs", Finding.PASS, reason, gating=False, figures=figures)

    def _records(self, track: Track) -> Iterator[tuple[str, Mapping[str, Any], Prediction]]:
        """The id, body and answer of each logged request of a track."""
        for piece in pieces(self.path / track.value):
            if piece.format is not Format.LOGGED:
                raise Refused(
                    f"{piece.name}: is {piece.format.value}; mirrored requests must be request logs of KServe, Envoy or the local server"
                )
            for request_id, request, response in exchanges(piece, self._drop):
                try:
                    body = _object(request)
                    answer = (
                        Prediction(200, _object(response), 0.0) if response is not None else Prediction(500, {"error": "it failed"}, 0.0)
                    )
                except ValueError:
                    self.unread += 1
                    continue
                yield request_id, body, answer

    def _drop(self, rows: int) -> None:
        self.unread += rows


def _object(text: bytes | None) -> Mapping[str, Any]:
    try:
        body = json.loads(text or b"")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(body, dict):
        raise ValueError("an object is expected")
    return body
