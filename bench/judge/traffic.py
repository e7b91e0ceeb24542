"""The counters of one watch: every server of stable and of the canary, interval by interval, and stable's history.

The servers of stable are the same in the history and in the watch. Every draw comes from the generator of the watch, which is named by
the seed, the cell's name and the watch's number.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from bench.judge import latencies
from bench.judge.noise import Array, Generator, batched, wander
from bench.judge.scenarios import ALIKE, HOUR, CanaryFault, Cell
from bench.judge.worlds import CACHE_FILLS, DRIFT_MEMORY, SLOW_SHARE, Law

SERVERS = 10
"""Number of stable's servers."""
CLASSES: Array = np.array([0.22, 0.18, 0.14, 0.12, 0.10, 0.08, 0.06, 0.05, 0.03, 0.02])
QUALITY, SPREAD = 0.70, 0.20
PAYING, REVENUE_SPREAD = 0.03, 1.2
INCIDENT = 20.0
BEFORE, HISTORY = 4 * HOUR, 2 * HOUR
"""Seconds that stable has counted when its history begins, and that the history takes until the watch begins."""
OK, ERR, LAT, LATENCY_SUM, QUALITY_SUMS, PRED = 0, 1, slice(2, 36), 36, slice(37, 40), slice(40, 50)
"""Columns of cumulative counters."""
DIGITS = 6
"""A model server prints the sum of latencies with so many digits."""


@dataclass(frozen=True)
class ReplaySample:
    """One track at one instant, as the replay protocol gives it: cumulative counters, NaN where the track is not up."""

    up: bool
    share: float
    ok: float
    err: float
    lat: Array
    lat_sum: float
    """Sum of the latencies in the histogram, in its unit: microseconds."""
    q_sum: float
    q_sumsq: float
    q_count: float
    pred: Array
    servers: Mapping[str, ReplaySample] = field(default_factory=dict)
    """The same for each server of the track; none where the track is not up, and in the sample of a server."""


@dataclass(frozen=True)
class ServerCounts:
    """What one server counted in each interval; the first axis is over the intervals."""

    started: Array
    """Whether the server starts, and its counters with it, at the beginning of the interval."""
    ok: Array
    err: Array
    batches: Array
    """Number of batches of errors: what the oracle sees."""
    lat: Array
    lat_sum: Array
    quality: Array
    """Shape (intervals, 3): sum, sum of squares, number."""
    pred: Array

    def during(self, intervals: slice) -> ServerCounts:
        """Return what the server counted in some of the intervals."""
        return ServerCounts(*(getattr(self, one.name)[intervals] for one in fields(self)))

    def totals(self, before: Array) -> Array:
        """Return the counters before the first interval and after each, shape (intervals + 1, columns)."""
        counted = [self.ok[:, None], self.err[:, None], np.cumsum(self.lat, axis=1), self.lat_sum[:, None], self.quality, self.pred]
        totals = np.cumsum(np.vstack([before, np.hstack(counted)]), axis=0)
        for i in np.flatnonzero(self.started):
            totals[i + 1 :] -= totals[i]
        return totals


@dataclass(frozen=True)
class Conditions:
    """What shaped one canary server's counts apart from chance and its own wander; arrays of shape (intervals,)."""

    expected: Array
    """Expected number of requests."""
    error_rate: Array
    """Error rate of a healthy canary."""
    latency: Array
    """Log factor of latency: the service's, the server's own, and that of its start."""
    quality: Array
    """Mean of a healthy canary."""
    shape: latencies.Shape
    """Shape of a healthy canary's latency."""


@dataclass(frozen=True)
class Watch:
    """One release from its first canary request on."""

    cell: Cell
    stable: tuple[ServerCounts, ...]
    canary: tuple[ServerCounts, ...]
    stable_up: Array
    canary_up: Array
    """Whether the scrape at the end of each interval succeeds."""
    conditions: tuple[Conditions, ...]
    """The conditions of each of the canary's servers."""
    stable_before: tuple[Array, ...] = field(repr=False)
    """The counters of each of stable's servers when the watch begins."""
    history: tuple[tuple[float, ReplaySample, ReplaySample], ...] = field(repr=False)

    def polls(self) -> Iterator[tuple[float, ReplaySample, ReplaySample]]:
        """Yield seconds, stable and canary; the first at 0."""
        stable = [server.totals(before) for server, before in zip(self.stable, self.stable_before, strict=True)]
        canary = [server.totals(np.zeros(PRED.stop)) for server in self.canary]
        stable_up = [True, *self.stable_up.tolist()]
        canary_up = [not self.cell.fault.crash, *self.canary_up.tolist()]
        for i in range(len(stable_up)):
            share = self.cell.ramp.at(max(i - 1, 0) * self.cell.poll)
            yield i * self.cell.poll, _sample(stable, i, 1 - share, stable_up[i]), _sample(canary, i, share, canary_up[i])


def requests(servers: Sequence[ServerCounts]) -> Array:
    """Return the number of requests in each interval, all servers together."""
    return np.sum([server.ok + server.err for server in servers], axis=0)


def watch(cell: Cell, seed: int, number: int) -> Watch:
    """Return a watch by its number; equal arguments always give the same draws."""
    rng = np.random.default_rng([seed, zlib.crc32(cell.name.encode()), number])
    law, fault, service = cell.law, cell.fault, _Service(rng, cell)
    before, length = service.before, service.length
    shares = np.array([cell.ramp.at(t) for t in service.times[before:]])
    of_stable = np.concatenate([np.ones(before), 1 - shares]) / SERVERS
    of_canary = shares * np.exp(law.routing * rng.standard_normal(length)) / cell.servers
    restarting = _restarts(rng, SERVERS, length, 2 * law.restarts, earliest=2)
    started = _restarts(rng, cell.servers, length, law.restarts, earliest=10)
    started[:, 0] = True
    stable = [service.server(np.concatenate([np.zeros(before, dtype=bool), one]), of_stable)[0] for one in restarting]
    canary, conditions = zip(*(service.server(one, of_canary, fault) for one in started), strict=True)
    then = [server.during(slice(0, before)).totals(_counters_before(cell)) for server in stable]
    now = tuple(server.during(slice(before, None)) for server in stable)
    up = rng.uniform(size=(2, length)) >= law.missed
    begun = tuple(totals[-1] for totals in then)
    return Watch(cell, now, canary, up[0], up[1] & (not fault.crash), conditions, begun, _history(rng, cell, then))


def _restarts(rng: Generator, servers: int, length: int, probability: float, earliest: int) -> Array:
    """Return whether each server starts again at the beginning of each interval, shape (servers, intervals): one of them, or none."""
    started = np.zeros((servers, length), dtype=bool)
    if rng.uniform() < probability:
        started[rng.integers(servers), rng.integers(earliest, length)] = True
    return started


def _history(rng: Generator, cell: Cell, totals: Sequence[Array]) -> tuple[tuple[float, ReplaySample, ReplaySample], ...]:
    """Return two hours of stable: seconds, all other servers, and one server."""
    up = rng.uniform(size=(2, len(totals[0]))) >= cell.law.missed
    up[:, 0] = True
    names, part = range(1, SERVERS), 1.0 / SERVERS
    return tuple(
        (i * cell.poll, _sample(totals[1:], i, 1 - part, up[0, i], names), _sample(totals[:1], i, part, up[1, i]))
        for i in range(len(totals[0]))
    )


class _Service:
    """What all servers share from the beginning of the history to the end of the watch."""

    def __init__(self, rng: Generator, cell: Cell) -> None:
        law = cell.law
        self.rng, self.cell = rng, cell
        self.before, self.length = round(HISTORY / cell.poll), round(HOUR / cell.poll)
        self.times = np.arange(-self.before, self.length) * cell.poll
        self.correlation = math.exp(-cell.poll / law.memory)
        daily = law.daily * np.sin(2 * math.pi * self.times / 86_400 + rng.uniform(0, 2 * math.pi))
        deviations = np.array([law.traffic, law.errors, law.latency, law.quality])
        traffic, errors, latency, self.quality = wander(rng, deviations, len(self.times), self.correlation)
        self.traffic = np.exp(traffic) * (1 + daily)
        self.errors = np.exp(errors - law.errors**2 / 2)
        for first, last in ((0, self.before), (self.before, len(self.times))):
            if rng.uniform() < law.incident:
                start = rng.integers(first, last)
                self.errors[start : min(start + rng.integers(4, 14), last)] *= INCIDENT
        self.latency = latency + 0.05 * daily

    def server(self, started: Array, shares: Array, fault: CanaryFault = ALIKE) -> tuple[ServerCounts, Conditions]:
        """Draw a server and what it counts under its share of the traffic, in the last len(shares) intervals."""
        rng, law, cell = self.rng, self.cell.law, self.cell
        length, last = len(shares), slice(-len(shares), None)
        own_errors, own_latency = rng.standard_normal(2) * np.array([law.fixed_errors, law.fixed_latency])
        is_slow = rng.uniform() < law.slow_servers
        drift = wander(rng, np.array([law.drift]), length, math.exp(-cell.poll / DRIFT_MEMORY))[0] if law.drift else 0.0
        known = Conditions(
            cell.rate * shares * self.traffic[last] * cell.poll,
            cell.base * self.errors[last] * math.exp(own_errors - law.fixed_errors**2 / 2),
            self.latency[last] + own_latency + drift + _cold_start(law, started, cell.poll),
            QUALITY + self.quality[last],
            law.shape.with_slow(SLOW_SHARE) if is_slow else law.shape,
        )
        deviations = np.array([law.server_errors, law.server_latency, law.server_quality])
        own = wander(rng, deviations, length, self.correlation)
        return _count(rng, cell, started, known, own, fault, self.times[last]), known


def _cold_start(law: Law, started: Array, poll: float) -> Array:
    """Return the log factor of a server's latency after its start, shape (intervals,); 0 where it started long ago."""
    times = np.arange(len(started)) * poll
    age = times + poll / 2 - np.maximum.accumulate(np.where(started, times, -math.inf))
    factor, decay = law.cold
    cache: Array = np.log1p(law.cold_cache * np.maximum(1 - age / CACHE_FILLS, 0.0))
    return cache + np.log1p((factor - 1) * np.exp(-age / decay))


def _count(rng: Generator, cell: Cell, started: Array, known: Conditions, own: Array, fault: CanaryFault, times: Array) -> ServerCounts:
    """Count what a server answers; `own` is its wander of errors, latency and quality, shape (3, intervals)."""
    law, (errors, latency, quality) = cell.law, own
    idle = fault.silent or fault.crash
    n, _ = batched(rng, known.expected * (not idle), law.burst)
    worse = np.where(times >= fault.errors_from, fault.errors, 1.0)
    p = np.minimum(known.error_rate * np.exp(errors - law.server_errors**2 / 2) * worse + fault.more_errors, 1.0)
    failed, batches = (n, n) if fault.outage else _failures(rng, n, p, law.batch)
    ok = n - failed
    shape = known.shape.with_slower_tail(fault.tail)
    lat, lat_sum = latencies.draw(rng, ok, shape, known.latency + latency + math.log(fault.latency))
    values = _values(rng, ok, (known.quality + quality) * fault.quality, fault.quality, cell.heavy)
    pred = rng.multinomial(ok, class_shares(fault))
    return ServerCounts(started, *(part.astype(float) for part in (ok, failed, batches, lat, lat_sum, values, pred)))


def _failures(rng: Generator, n: Array, p: Array, batch: float) -> tuple[Array, Array]:
    """Return failed requests and their batches; where failing is common each request fails on its own."""
    failed, batches = batched(rng, n * p, batch)
    alone = rng.binomial(n, p)
    common = p > 0.25
    return np.where(common, alone, np.minimum(failed, n)), np.where(common, alone, batches)


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


def _counters_before(cell: Cell) -> Array:
    """Return the expected counters of one of stable's servers when its history begins, shape (columns,)."""
    n = cell.rate * BEFORE / SERVERS
    ok, shape = n * (1 - cell.base), cell.law.shape
    latency = np.cumsum(shape.masses(np.zeros(1))[0])
    revenue = PAYING * math.exp(REVENUE_SPREAD**2 / 2), PAYING * math.exp(2 * REVENUE_SPREAD**2)
    mean, square = revenue if cell.heavy else (QUALITY, SPREAD**2 + QUALITY**2)
    return np.floor(np.concatenate([[ok, n * cell.base], ok * latency, [ok * shape.mean, ok * mean, ok * square, ok], ok * CLASSES]))


def _sample(totals: Sequence[Array], i: int, share: float, up: bool, names: Sequence[int] | None = None) -> ReplaySample:
    """Return the sample of a track from the counters of its servers, each of shape (polls, columns)."""
    if not up:
        return _numbers(np.full(PRED.stop, math.nan), share, up)
    rows, part = [one[i] for one in totals], share / len(totals)
    servers = {str(name): _numbers(row, part) for name, row in zip(names or range(len(rows)), rows, strict=True)}
    return _numbers(np.sum(rows, axis=0), share, up, servers)


def _numbers(row: Array, share: float, up: bool = True, servers: Mapping[str, ReplaySample] | None = None) -> ReplaySample:
    q_sum, q_sumsq, q_count = row[QUALITY_SUMS].tolist()
    printed = float(f"{row[LATENCY_SUM]:.{DIGITS}g}")
    return ReplaySample(up, share, float(row[OK]), float(row[ERR]), row[LAT], printed, q_sum, q_sumsq, q_count, row[PRED], servers or {})
