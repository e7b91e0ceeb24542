"""Answers that both tracks have given to the same requests already: mirrored traffic, joined by the requests' ids. Nothing is sent.

Whoever mirrors (Envoy, Istio, KServe) keeps the id in both copies of a request, and a log of each track; `evaluate.predictions` compares
the pairs as it compares answers that it has asked for itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcanary.core.domain import Evidence, Finding, Prediction, Request, Track
from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources import pieces
from tfcanary.look.evaluate.sources.piece import Format
from tfcanary.look.evaluate.sources.request_logs import exchanges

MOST = 100_000
"""Answers of the canary that wait for their partners in memory."""

Pair = tuple[Request, Prediction, Prediction]


def is_mirrored(path: Path) -> bool:
    """Whether a folder holds the logs of both tracks."""
    return all((path / track.value).is_dir() for track in Track)


@dataclass(slots=True)
class Mirrored:
    """The logs below `stable/` and `canary/`, and what of them found no partner."""

    path: Path
    paired: int = 0
    alone: int = 0
    """Requests of the canary without an id, or without stable's answer to the same request."""
    unread: int = 0
    """Of both: half a record, or no JSON."""

    def pairs(self, limit: int) -> Iterator[Pair]:
        """At most `limit` requests with both answers, in the order of stable's log. Raises Refused where a log cannot be read."""
        waiting: dict[str, tuple[Mapping[str, Any], Prediction]] = {}
        for one, body, answer in self._logged(Track.CANARY):
            if one and len(waiting) < MOST:
                waiting[one] = body, answer
            self.alone += not one
        for one, body, answer in self._logged(Track.STABLE):
            if self.paired >= limit:
                break
            partner = waiting.pop(one, None) if one else None
            if partner is None:
                continue
            if partner[0] != body:
                self.alone += 1  # another request by the same id: no mirror made it
                continue
            self.paired += 1
            yield Request(body, one), answer, partner[1]
        self.alone += len(waiting) if self.paired < limit else 0

    def evidence(self) -> Evidence:
        """How many pairs there were, and what is missing."""
        figures: dict[str, float | str] = {"pairs": self.paired, "canary_alone": self.alone, "unread": self.unread}
        reason = f"{self.paired:,} requests have an answer of each track in the logs"
        if not self.paired:
            reason = f"no request of the canary's log is in stable's by the same id: nothing was compared; {self.alone:,} have no partner"
            return Evidence("predictions/pairs", Finding.INCONCLUSIVE, reason, figures=figures)
        if self.alone or self.unread:
            reason += (
                f"; {self.alone:,} of the canary's have no partner, and {self.unread:,} records could not be read: they are not compared"
            )
            return Evidence("predictions/pairs", Finding.WARN, reason, gating=False, figures=figures)
        return Evidence("predictions/pairs", Finding.PASS, reason, gating=False, figures=figures)

    def _logged(self, track: Track) -> Iterator[tuple[str, Mapping[str, Any], Prediction]]:
        for piece in pieces(self.path / track.value):
            if piece.format is not Format.LOGGED:
                raise Refused(
                    f"{piece.name}: is {piece.format.value}; mirrored requests are logged ones: of KServe, Envoy or the local server"
                )
            for one, asked, given in exchanges(piece, self._drop):
                try:
                    body = _object(asked)
                    answer = Prediction(200, _object(given), 0.0) if given is not None else Prediction(500, {"error": "it failed"}, 0.0)
                except ValueError:
                    self.unread += 1
                    continue
                yield one, body, answer

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
