"""The counters of one watch: a stable of ten servers and a canary of one, interval by interval, and stable's history.

Every draw comes from the generator of the watch, which is named by the seed, the cell's name and the watch's number.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bench.judge.noise import Array, Generator, Law, normal_cdf, wander
from bench.judge.scenarios import ALIKE, HOUR, CanaryFault, Cell
from tfcanary.core.domain import LATENCY_BOUNDS

SERVERS = 10
BOUNDS: Array = np.log(np.array(LATENCY_BOUNDS) / 1000.0)
"""Bounds of the latency buckets as log milliseconds."""
BULK, TAIL = (0.97, math.log(40.0), 0.45), (0.03, math.log(160.0), 0.50)
"""Share, log median in milliseconds and spread of the two kinds of requests."""
CLASSES: Array = np.array([0.22, 0.18, 0.14, 0.12, 0.10, 0.08, 0.06, 0.05, 0.03, 0.02])
QUALITY, SPREAD = 0.70, 0.20
PAYING, REVENUE_SPREAD = 0.03, 1.2
INCIDENT = 20.0
BEFORE, HISTORY = 6 * HOUR, 2 * HOUR
"""Seconds that stable has counted when the watch begins, and that calibration is given."""


@dataclass(frozen=True)
class ReplaySample:
    """One track at one instant, as the replay protocol gives it: cumulative counters, NaN where the track is not up."""

    up: bool
    share: float
    ok: float
    err: float
    lat: Array
    lat_sum: float
    q_sum: float
    q_sumsq: float
    q_count: float
    pred: Array


@dataclass(frozen=True)
class GroupCounts:
    """What a group of servers counted in each interval; the first axis is over the intervals."""

    ok: Array
    err: Array
    batches: Array
    """Number of batches of errors: what the oracle sees."""
    lat: Array
    quality: Array
    """Shape (intervals, 3): sum, sum of squares, number."""
    pred: Array


@dataclass(frozen=True)
class Conditions:
    """What shaped the canary's counts apart from chance and its own wander; arrays of shape (intervals,)."""

    expected: Array
    """Expected number of requests."""
    error_rate: Array
    """Error rate of a healthy canary."""
    latency: Array
    """Log factor of latency, cold start included."""
    quality: Array
    """Mean of a healthy canary."""


@dataclass(frozen=True)
class Watch:
    """One release from its first canary request on."""

    cell: Cell
    stable: GroupCounts
    canary: GroupCounts
    stable_up: Array
    canary_up: Array
    """Whether the scrape at the end of each interval succeeds."""
    lost: Array
    """Part of stable's counters that is lost at the end of each interval, by a restart of one of its servers."""
    restarts: Array
    """Whether the canary's counters start again from 0 with each interval."""
    conditions: Conditions
    history: tuple[tuple[float, ReplaySample, ReplaySample], ...] = field(repr=False)

    def polls(self) -> Iterator[tuple[float, ReplaySample, ReplaySample]]:
        """Yield seconds, stable and canary; the first at 0."""
        cell, stable, canary = self.cell, _GroupTotals(_totals_before(self.cell)), _GroupTotals()
        share = cell.ramp.at(0.0)
        yield 0.0, stable.sample(1 - share), canary.sample(share, up=not cell.fault.crash)
        for i in range(len(self.stable.ok)):
            share = cell.ramp.at(i * cell.poll)
            if self.restarts[i]:
                canary = _GroupTotals()
            canary.add(self.canary, i)
            stable.add(self.stable, i)
            stable.lose(float(self.lost[i]))
            yield (
                (i + 1) * cell.poll,
                stable.sample(1 - share, up=bool(self.stable_up[i])),
                canary.sample(share, up=bool(self.canary_up[i])),
            )


def watch(cell: Cell, seed: int, number: int) -> Watch:
    """Return a watch by its number; equal arguments always give the same draws."""
    rng = np.random.default_rng([seed, zlib.crc32(cell.name.encode()), number])
    length = round(HOUR / cell.poll)
    world = _World(rng, cell, length)
    law, fault, times = cell.law, cell.fault, np.arange(length) * cell.poll
    shares = np.array([cell.ramp.at(t) for t in times])
    restarts = np.zeros(length, dtype=bool)
    if rng.uniform() < law.restarts:
        restarts[rng.integers(10, length)] = True
    lost = np.zeros(length)
    if rng.uniform() < 2 * law.restarts:
        lost[rng.integers(2, length)] = 1.0 / SERVERS
    cold = _cold_start(law, times, restarts, cell.poll)
    routed = np.exp(law.routing * rng.standard_normal(length))
    up = rng.uniform(size=(2, length)) >= law.missed
    stable, _ = world.count(SERVERS, 1 - shares)
    canary, conditions = world.count(1, shares * routed, fault, cold, times)
    return Watch(cell, stable, canary, up[0], up[1] & (not fault.crash), lost, restarts, conditions, _history(rng, cell))


def _history(rng: Generator, cell: Cell) -> tuple[tuple[float, ReplaySample, ReplaySample], ...]:
    """Return two hours of stable: seconds, all other servers, and one server."""
    length = round(HISTORY / cell.poll)
    world = _World(rng, cell, length)
    share = np.full(length, 1.0 / SERVERS)
    one, rest = world.count(1, share)[0], world.count(SERVERS - 1, 1 - share)[0]
    up = rng.uniform(size=(2, length)) >= cell.law.missed
    own, others = _GroupTotals(), _GroupTotals()
    samples = [(0.0, others.sample(0.9), own.sample(0.1))]
    for i in range(length):
        own.add(one, i)
        others.add(rest, i)
        samples.append(((i + 1) * cell.poll, others.sample(0.9, bool(up[0, i])), own.sample(0.1, bool(up[1, i]))))
    return tuple(samples)


def _cold_start(law: Law, times: Array, restarts: Array, poll: float) -> Array:
    """Return the log factor of a server's latency after its start."""
    factor, decay = law.cold
    began = np.maximum.accumulate(np.where(restarts, times, 0.0))
    cold: Array = np.log1p((factor - 1) * np.exp(-(times + poll / 2 - began) / decay))
    return cold


class _World:
    """What both tracks share in one watch."""

    def __init__(self, rng: Generator, cell: Cell, length: int) -> None:
        law = cell.law
        self.rng, self.cell, self.length = rng, cell, length
        self.correlation = math.exp(-cell.poll / law.memory)
        phase = rng.uniform(0, 2 * math.pi)
        daily = law.daily * np.sin(2 * math.pi * np.arange(length) * cell.poll / 86_400 + phase)
        sds = np.array([law.traffic, law.errors, law.latency, law.quality])
        traffic, errors, latency, self.quality = wander(rng, sds, length, self.correlation)
        self.traffic = np.exp(traffic) * (1 + daily)
        self.errors = np.exp(errors - law.errors**2 / 2)
        if rng.uniform() < law.incident:
            start = rng.integers(0, length)
            self.errors[start : start + rng.integers(4, 14)] *= INCIDENT
        self.latency = latency + 0.05 * daily

    def count(
        self, servers: int, shares: Array, fault: CanaryFault = ALIKE, cold: Array | float = 0.0, times: Array | None = None
    ) -> tuple[GroupCounts, Conditions]:
        """Count a group of servers under its share of the traffic."""
        rng, law, cell = self.rng, self.cell.law, self.cell
        scale = 1.0 / math.sqrt(servers)
        sds = scale * np.array([law.server_errors, law.server_latency, law.server_quality])
        errors, latency, quality = wander(rng, sds, self.length, self.correlation)
        fixed = scale * rng.standard_normal(2) * np.array([law.fixed_errors, law.fixed_latency])
        expected = cell.rate * shares * self.traffic * cell.poll
        healthy = cell.base * self.errors * math.exp(fixed[0] - law.fixed_errors**2 * scale**2 / 2)
        conditions = Conditions(expected, healthy, self.latency + fixed[1] + cold, QUALITY + self.quality)
        n = np.zeros(self.length, dtype=int) if fault.silent or fault.crash else rng.poisson(expected)
        worse = fault.errors if times is None else np.where(times >= fault.errors_from, fault.errors, 1.0)
        p = np.minimum(healthy * np.exp(errors - sds[0] ** 2 / 2) * worse + fault.more_errors, 1.0)
        failed, batches = (n, n) if fault.outage else _failures(rng, n, p, law.batch)
        ok = n - failed
        lat = rng.multinomial(ok, masses(conditions.latency + latency + math.log(fault.latency), fault.tail))
        values = _values(rng, ok, (conditions.quality + quality) * fault.quality, fault.quality, cell.heavy)
        pred = rng.multinomial(ok, class_shares(fault))
        counted = [part.astype(float) for part in (ok, failed, batches, lat, values, pred)]
        return GroupCounts(*counted), conditions


def _failures(rng: Generator, n: Array, p: Array, batch: float) -> tuple[Array, Array]:
    """Return failed requests and their batches; where failing is common each request fails on its own."""
    batches = rng.poisson(np.minimum(n * p / batch, 1e9))
    more = rng.negative_binomial(np.maximum(batches, 1), 1.0 / batch) if batch > 1 else 0
    failed = np.where(batches > 0, batches + more, 0)
    alone = rng.binomial(n, p)
    common = p > 0.25
    return np.where(common, alone, np.minimum(failed, n)), np.where(common, alone, batches)


def masses(shift: Array, tail: float) -> Array:
    """Return the share of each latency bucket, shape (shifts, buckets), when everything is e^shift times slower.

    `tail` is one more factor by which the tail is slower.
    """
    below = np.zeros((len(shift), len(BOUNDS)))
    for (part, median, spread), extra in ((BULK, 0.0), (TAIL, math.log(tail))):
        below += part * normal_cdf((BOUNDS - median - extra - shift[:, None]) / spread)
    edges = np.hstack([np.zeros((len(shift), 1)), np.minimum(below, 1.0), np.ones((len(shift), 1))])
    shares: Array = np.maximum(np.diff(edges, axis=1), 0.0)
    return shares / shares.sum(axis=1, keepdims=True)


def class_shares(fault: CanaryFault) -> Array:
    """Return the share of each predicted class."""
    shares: Array = CLASSES * (1 - fault.collapse)
    shares[0] += fault.collapse
    return shares


def _values(rng: Generator, ok: Array, mean: Array, factor: float, heavy: bool) -> Array:
    """Return sum, sum of squares and number of the per-request value."""
    if heavy:
        paying = rng.binomial(ok, PAYING)
        paid = [rng.lognormal(0.0, REVENUE_SPREAD, k) * factor for k in paying.tolist()]
        return np.array([[x.sum(), (x * x).sum(), n] for x, n in zip(paid, ok.tolist(), strict=True)])
    summed = np.clip(ok * mean + np.sqrt(ok) * SPREAD * rng.standard_normal(len(ok)), 0, ok)
    return np.stack([summed, ok * (SPREAD**2 + mean**2), ok], axis=1)


class _GroupTotals:
    """Cumulative counters of a group."""

    def __init__(self, start: Array | None = None) -> None:
        width = 2 + len(BOUNDS) + 1 + 3 + len(CLASSES)
        self._numbers = np.zeros(width) if start is None else start

    def add(self, counted: GroupCounts, i: int) -> None:
        self._numbers = self._numbers + np.concatenate(
            [[counted.ok[i], counted.err[i]], np.cumsum(counted.lat[i]), counted.quality[i], counted.pred[i]]
        )

    def lose(self, part: float) -> None:
        if part:
            self._numbers = np.floor(self._numbers * (1.0 - part))

    def sample(self, share: float, up: bool = True) -> ReplaySample:
        numbers = self._numbers if up else np.full_like(self._numbers, math.nan)
        ok, err, latency, (q_sum, q_sumsq, q_count), pred = *numbers[:2].tolist(), numbers[2:36], numbers[36:39].tolist(), numbers[39:]
        return ReplaySample(up, share, ok, err, latency, math.nan, q_sum, q_sumsq, q_count, pred)


def _totals_before(cell: Cell) -> Array:
    """Return the expected counters of stable after six hours."""
    n = cell.rate * BEFORE
    ok = n * (1 - cell.base)
    latency = np.cumsum(masses(np.zeros(1), 1.0)[0])
    revenue = PAYING * math.exp(REVENUE_SPREAD**2 / 2), PAYING * math.exp(2 * REVENUE_SPREAD**2)
    mean, square = revenue if cell.heavy else (QUALITY, SPREAD**2 + QUALITY**2)
    return np.floor(np.concatenate([[ok, n * cell.base], ok * latency, [ok * mean, ok * square, ok], ok * CLASSES]))
