"""How services vary, as frozen values: three strengths of noise on servers that are nearly alike, and worlds that differ in more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.judge.latencies import LOGNORMAL, MODES, PEAK, QUOTA, Shape

DRIFT_MEMORY = 7200.0
"""Seconds in which the correlation of a server's slow drift falls to 1/e."""
CACHE_FILLS = 300.0
"""Seconds until the cache of a new server is full."""
SLOW_SHARE = 0.30
"""Share of slow answers on a slow server."""


@dataclass(frozen=True)
class Law:
    """How a service varies. Wander is a stationary AR(1) series with correlation exp(-time/memory)."""

    name: str
    traffic: float
    errors: float
    latency: float
    quality: float
    """Standard deviations of what both tracks share: log traffic, log error rate, log latency, quality."""
    daily: float
    """Amplitude of a 24-hour sine in the traffic; log latency follows with a twentieth of it."""
    routing: float = 0.0
    """Standard deviation of the log of the canary's share, independent from interval to interval."""
    incident: float = 0.0
    """Probability that the errors of both tracks rise twentyfold for 4 to 13 polls."""
    server_errors: float = 0.0
    server_latency: float = 0.0
    server_quality: float = 0.0
    """Standard deviations of one server's own wander: log error rate, log latency, quality."""
    fixed_errors: float = 0.0
    fixed_latency: float = 0.0
    """Standard deviations of the constant difference between servers, drawn once for each of them: log error rate, log latency."""
    slow_servers: float = 0.0
    """Part of the servers that are slow servers."""
    drift: float = 0.0
    """Standard deviation of one server's log latency that drifts over hours."""
    batch: float = 1.0
    """Mean size of a batch of errors; the sizes are geometric."""
    burst: float = 1.0
    """Mean size of a burst of requests that reach one server together; the sizes are geometric."""
    shape: Shape = LOGNORMAL
    cold: tuple[float, float] = (2.0, 15.0)
    """Factor by which a server is slower when it starts, and the seconds in which the excess decays to 1/e."""
    cold_cache: float = 0.0
    """Part by which a new server's answers take longer, too; it falls evenly to 0 while its cache fills."""
    missed: float = 0.01
    """Probability that a scrape of a track fails."""
    restarts: float = 0.0
    """Probability that the canary restarts during the watch; it is twice that for one of stable's servers."""
    memory: float = 120.0
    """Seconds in which the correlation of wander falls to 1/e."""

    @property
    def is_alike(self) -> bool:
        """Whether servers differ for minutes at most, and new ones as long as a usual start takes."""
        return not (self.fixed_latency or self.slow_servers or self.drift or self.cold_cache)


CALM = Law("calm", traffic=0.05, errors=0.10, latency=0.02, quality=0.003, daily=0.3)
NOISY = Law(
    "noisy",
    traffic=0.20,
    errors=0.50,
    latency=0.08,
    quality=0.010,
    daily=0.5,
    routing=0.10,
    incident=0.20,
    server_errors=0.30,
    server_latency=0.04,
    server_quality=0.003,
    fixed_errors=0.05,
    fixed_latency=0.015,
    batch=3.0,
    cold=(3.0, 25.0),
    missed=0.04,
    restarts=0.15,
)
HARSH = replace(
    NOISY,
    name="harsh",
    server_errors=0.50,
    server_latency=0.06,
    fixed_latency=0.02,
    batch=5.0,
    missed=0.10,
    restarts=0.30,
    memory=240.0,
)
"""Noise beyond what the judge is designed for."""

SPREADS = tuple(replace(CALM, name=f"spread {percent} %", fixed_latency=percent / 100) for percent in (0, 2, 5, 8, 10))
"""Calm services whose servers have so much standard deviation of log latency between them. Real ones have 0.7 to 10.5 %."""
SHAPES = tuple(replace(CALM, name=f"shape: {shape.name}", shape=shape) for shape in (PEAK, QUOTA, MODES))
WORLDS = (
    *SPREADS,
    replace(CALM, name="slow servers", slow_servers=0.05),
    replace(CALM, name="drift over hours", drift=0.04),
    replace(CALM, name="cold caches", cold_cache=0.5),
    *SHAPES,
    replace(CALM, name="bursts", traffic=0.6, burst=20.0),
    replace(NOISY, name="all of it", fixed_latency=0.05, slow_servers=0.05, drift=0.03, cold_cache=0.3, burst=5.0, shape=MODES),
)
"""Services that are unlike the three noises in what real ones were found to be; each but the last in one thing."""
