"""Counters from the servers' own metrics pages: the default on one machine, and a choice of the plan on a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import urllib3

from tfcanary.adapters.metrics.exposition import counters
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Unavailable

PATH = "/monitoring/prometheus/metrics"
LARGEST_PAGE = 16 << 20
"""Bytes that are read of a page, at most."""
PARALLEL = 16
"""Servers whose pages are read at the same time, at most."""

Servers = Callable[[Track], Mapping[str, str]]
"""Returns the servers of a track, name to base address such as http://127.0.0.1:8501. Raises Unavailable where they are not known."""

logger = logging.getLogger(__name__)


class ScrapeSource:
    """`ports.MetricSource` for one model. A server without a page makes its track not `up`; the other servers' counters are returned."""

    def __init__(self, servers: Servers, model: str, entrypoint: str | None = None, timeout: float = 5.0) -> None:
        self._servers = servers
        self._model = model
        self._entrypoint = entrypoint
        # One more try for a connection that was closed meanwhile; a server that is silent after it is down.
        retries = urllib3.Retry(total=1, redirect=0, status=0, backoff_factor=0.1, backoff_jitter=0.1)
        self._http = urllib3.PoolManager(maxsize=2, timeout=urllib3.Timeout(total=timeout), retries=retries)

    def sample(self, track: Track, at: datetime) -> Sample:
        """As `ports.MetricSource.sample`, always of the present: a page has no other values."""
        servers = self._servers(track)
        if not servers:
            return Sample(track, up=False)
        with ThreadPoolExecutor(min(len(servers), PARALLEL)) as threads:
            pages = dict(zip(servers, threads.map(self._counters, servers, servers.values()), strict=True))
        counters = {name: one for name, one in pages.items() if one is not None}
        return Sample(track, up=len(counters) == len(pages), servers=counters)

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Yield nothing: a page has no history."""
        return iter(())

    def _counters(self, name: str, address: str) -> Counters | None:
        """The counters of one server; None, and a line in the log, where its page cannot be read."""
        try:
            return counters(self._page(address), self._model, self._entrypoint)
        except Unavailable as error:
            logger.warning("%s at %s: %s", name, address, error)
            return None

    def _page(self, address: str) -> str:
        try:
            answer = self._http.request("GET", f"{address}{PATH}", preload_content=False)
            with answer:
                content = answer.read(LARGEST_PAGE + 1)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"no answer ({error})") from error
        if answer.status != 200:
            raise Unavailable(f"no metrics page: HTTP {answer.status}")
        if len(content) > LARGEST_PAGE:
            raise Unavailable(f"the metrics page has more than {LARGEST_PAGE} bytes")
        return content.decode("utf-8", "replace")
