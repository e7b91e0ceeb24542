"""Simulated canaries: a stable of ten servers and a canary of one, with the noise that real services have.

Every draw comes from the generator that is handed in, so that a seed names a watch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bench.judge.latencies import LOGNORMAL
from bench.judge.noise import Generator, wander
from bench.judge.traffic import CLASSES, SERVERS
from bench.judge.worlds import CALM as CALM
from bench.judge.worlds import NOISY as NOISY
from bench.judge.worlds import Law
from tfcanary.core.domain import LATENCY_BOUNDS, Counters, Sample, Track
from tfcanary.decide.judge import Poll


@dataclass(frozen=True)
class Canary:
    """What is wrong with it; by default nothing."""

    errors: float = 1.0
    more_errors: float = 0.0
    latency: float = 1.0
    tail: float = 1.0
    quality: float = 1.0
    collapse: float = 0.0
    silent: bool = False
    crashed: bool = False
    outage: bool = False


GOOD = Canary()


@dataclass
class Totals:
    """Counters of a set of servers that are counted together."""

    ok: float = 0.0
    failed: float = 0.0
    latency: np.ndarray = field(default_factory=lambda: np.zeros(len(LATENCY_BOUNDS) + 1))
    quality: np.ndarray = field(default_factory=lambda: np.zeros(3))
    classes: np.ndarray = field(default_factory=lambda: np.zeros(len(CLASSES)))

    def counters(self) -> Counters:
        return Counters(
            ok=self.ok,
            errors={"INTERNAL": self.failed},
            latency=tuple(np.cumsum(self.latency).tolist()),
            quality=tuple(self.quality.tolist()),
            classes=tuple(self.classes.tolist()),
        )


def buckets(shift: float, tail: float) -> np.ndarray:
    """Share of each latency bucket when everything is e^shift times slower, the tail by another factor."""
    return LOGNORMAL.with_slower_tail(tail).masses(np.array([shift]))[0]


@dataclass
class World:
    """The shared noise of one watch, and how a group of servers counts in it."""

    rng: Generator
    noise: Law
    length: int
    step: float
    rate: float
    base_error: float

    def __post_init__(self) -> None:
        rng, noise = self.rng, self.noise
        phase = rng.uniform(0, 2 * np.pi)
        daily = noise.daily * np.sin(2 * np.pi * np.arange(self.length) * self.step / 86400 + phase)
        self.correlation = float(np.exp(-self.step / noise.memory))
        shared = np.array([noise.traffic, noise.errors, noise.latency, noise.quality])
        traffic, errors, latency, quality = wander(rng, shared, self.length, self.correlation)
        self.traffic = np.exp(traffic - noise.traffic**2 / 2) * (1 + daily)
        self.errors = np.exp(errors - noise.errors**2 / 2)
        if rng.uniform() < noise.incident:
            start = rng.integers(0, self.length)
            self.errors[start : start + rng.integers(4, 14)] *= 20
        self.latency = latency + 0.05 * daily
        self.quality = quality

    def group(self, servers: int) -> Group:
        law = self.noise
        sds = np.array([law.server_errors, law.server_latency, law.server_quality]) / np.sqrt(servers)
        fixed = self.rng.standard_normal(2) * np.array([law.fixed_errors, law.fixed_latency]) / np.sqrt(servers)
        errors, latency, quality = wander(self.rng, sds, self.length, self.correlation)
        return Group(self, np.exp(errors - sds[0] ** 2 / 2 + fixed[0]), latency + fixed[1], quality)


@dataclass
class Group:
    """Servers that are counted together, with their own noise."""

    world: World
    errors: np.ndarray
    latency: np.ndarray
    quality: np.ndarray
    totals: Totals = field(default_factory=Totals)

    def count(self, i: int, share: float, what: Canary = GOOD, age: float | None = None) -> None:
        """One interval of traffic; `age` of a canary in seconds, None for servers that are warm."""
        world, rng = self.world, self.world.rng
        routed = np.exp(world.noise.routing * rng.standard_normal()) if age is not None else 1.0
        n = 0 if what.silent or what.crashed else rng.poisson(world.rate * share * world.traffic[i] * world.step * routed)
        p = min(world.base_error * world.errors[i] * self.errors[i] * what.errors + what.more_errors, 1.0)
        failed = n if what.outage else self._failures(n, p)
        self.totals.failed += failed
        self._answers(n - failed, i, what, age)

    def _failures(self, n: int, p: float) -> int:
        rng, batch = self.world.rng, self.world.noise.batch
        if p > 0.25:
            return int(rng.binomial(n, p))
        batches = rng.poisson(n * p / batch)
        return int(min(n, rng.geometric(1 / batch, batches).sum()))

    def _answers(self, ok: int, i: int, what: Canary, age: float | None) -> None:
        world, rng = self.world, self.world.rng
        factor, decay = world.noise.cold
        cold = 0.0 if age is None else np.log1p((factor - 1) * np.exp(-age / decay))
        shares = buckets(world.latency[i] + self.latency[i] + np.log(what.latency) + cold, what.tail)
        self.totals.ok += ok
        self.totals.latency += rng.multinomial(ok, shares)
        mean = (0.70 + world.quality[i] + self.quality[i]) * what.quality
        summed = float(np.clip(ok * mean + np.sqrt(ok) * 0.2 * rng.standard_normal(), 0, ok))
        self.totals.quality += (summed, ok * (0.04 + mean**2), ok)
        classes = CLASSES * (1 - what.collapse)
        classes[0] += what.collapse
        self.totals.classes += rng.multinomial(ok, classes / classes.sum())


def watch(
    rng: Generator,
    noise: Law = CALM,
    what: Canary = GOOD,
    rate: float = 200.0,
    weights: tuple[tuple[float, int], ...] = ((0.0, 5),),
    base_error: float = 0.001,
    step: float = 30.0,
    seconds: float = 3600.0,
) -> Iterator[Poll]:
    """The polls of one canary; `weights` is when, in seconds, which weight begins."""
    length = round(seconds / step)
    world = World(rng, noise, length, step, rate, base_error)
    stable, canary = world.group(SERVERS), world.group(1)
    for _ in range(3):  # six hours of history, roughly
        stable.totals.ok += rate * 7200 * (1 - base_error)
        stable.totals.failed += rate * 7200 * base_error
        stable.totals.latency += rate * 7200 * (1 - base_error) * buckets(0.0, 1.0)
        stable.totals.quality += rate * 7200 * np.array([0.7, 0.53, 1.0])
        stable.totals.classes += rate * 7200 * CLASSES
    weight = weights[0][1]
    yield poll(0.0, stable.totals, canary.totals, weight, up=(True, not what.crashed))
    for i in range(length):
        weight = next(w for since, w in reversed(weights) if since <= i * step)
        stable.count(i, 1 - weight / 100)
        canary.count(i, weight / 100, what, age=(i + 0.5) * step)
        up = rng.uniform(size=2) >= noise.missed
        yield poll((i + 1) * step, stable.totals, canary.totals, weight, up=(bool(up[0]), bool(up[1]) and not what.crashed))


def history(rng: Generator, noise: Law, rate: float = 200.0, base_error: float = 0.001, step: float = 30.0) -> list[tuple[float, Sample]]:
    """Two hours of stable alone: one server, and the nine others counted as one."""
    length = round(7200 / step)
    world = World(rng, replace(noise, incident=0.0), length, step, rate, base_error)
    one, rest = world.group(1), world.group(SERVERS - 1)
    samples = []
    for i in range(length):
        one.count(i, 1 / SERVERS)
        rest.count(i, 1 - 1 / SERVERS)
        samples.append(((i + 1) * step, Sample(Track.STABLE, True, {"a": one.totals.counters(), "b": rest.totals.counters()})))
    return samples


def poll(t: float, stable: Totals, canary: Totals, weight: int | None, up: tuple[bool, bool] = (True, True)) -> Poll:
    """One look, as the judge is handed it."""
    return Poll(
        t=t,
        stable=Sample(Track.STABLE, up[0], {"stable-0": stable.counters()} if up[0] else {}),
        canary=Sample(Track.CANARY, up[1], {"canary-0": canary.counters()} if up[1] else {}),
        weight=weight,
    )
