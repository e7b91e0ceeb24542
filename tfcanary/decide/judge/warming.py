"""Whether a canary may still be warming up: a cache that fills for minutes makes a healthy canary slow, and faster from window to window.

A canary is not convicted of its latency as long as its windows allow that it falls to the tolerance before `judge.warmup_maximum`. That takes
away convictions only, so that it costs no alpha.
"""

from __future__ import annotations

import math

import numpy as np

from tfcanary.decide.judge.watch_windows import Window

MEMORY = 300.0
"""Seconds of the canary's last windows from which its fall is estimated."""
DOUBT = 1.0
"""Standard errors by which the fall may be faster than estimated. More of them make every conviction of a slow canary later."""


class Warming:
    """The course of one criterion of latency: how far the canary was above stable in each of the last windows."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float, float]] = []
        """Middle of the window, log ratio to stable, information."""
        self._limit = self._now = 0.0

    def add(self, window: Window, score: float, information: float) -> None:
        """Add a window by its score against "like stable" and its information; a window without information says nothing."""
        self._limit, self._now = window.warm_limit, window.until
        if information > 0:
            self._points.append((0.5 * (window.since + window.until), score / information, information))
        self._points = [point for point in self._points if point[0] >= self._now - MEMORY]

    def may_last(self, tolerance: float, phi: float) -> bool:
        """Return whether the canary may still come down to the tolerance, a log ratio, in its time; `phi` is the dispersion."""
        left = self._limit - self._now
        if left <= 0:
            return False
        if len(self._points) < 2:
            return True
        times, level, weight = np.array(self._points).T
        centre, mean = np.average(times, weights=weight), np.average(level, weights=weight)
        spread = float(np.sum(weight * (times - centre) ** 2))
        fall = -float(np.sum(weight * (times - centre) * level)) / spread
        now = mean - fall * (self._now - centre)
        return bool(now - tolerance <= max(fall + DOUBT * math.sqrt(phi / spread), 0.0) * left)
