"""Counters from the servers' own metrics pages: the default on one machine, and a plan's choice on a cluster."""

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
"""Bytes that are read of a page."""
AT_ONCE = 16
"""Servers that are asked at the same time."""

Servers = Callable[[Track], Mapping[str, str]]
"""The servers of a track: name to base address, for example http://127.0.0.1:8501; raises Unavailable where it cannot tell."""

logger = logging.getLogger(__name__)


class ScrapeSource:
    """`ports.MetricSource` for one model. A server that gives no page makes its track not `up`; the others' counters are kept."""

    def __init__(self, servers: Servers, model: str, entrypoint: str | None = "REST", path: str = PATH, timeout: float = 5.0) -> None:
        self._servers = servers
        self._model = model
        self._entrypoint = entrypoint
        self._path = path
        # One more try, after a moment, for a connection that was closed meanwhile; what is still silent then is down.
        retries = urllib3.Retry(total=1, redirect=0, status=0, backoff_factor=0.1, backoff_jitter=0.1)
        self._http = urllib3.PoolManager(maxsize=2, timeout=urllib3.Timeout(total=timeout), retries=retries)

    def sample(self, track: Track, at: datetime) -> Sample:
        """As promised by the port; `at` is now, whatever it says: a page knows no other time."""
        servers = self._servers(track)
        if not servers:
            return Sample(track, up=False)
        with ThreadPoolExecutor(min(len(servers), AT_ONCE)) as threads:
            found = dict(zip(servers, threads.map(self._counters, servers, servers.values()), strict=True))
        counted = {name: one for name, one in found.items() if one is not None}
        return Sample(track, up=len(counted) == len(found), servers=counted)

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        """Nothing: a page keeps none."""
        return iter(())

    def _counters(self, name: str, address: str) -> Counters | None:
        """None, and a line in the log, where the server does not answer as it should."""
        try:
            return counters(self._page(address), self._model, self._entrypoint)
        except Unavailable as error:
            logger.warning("%s at %s: %s", name, address, error)
            return None

    def _page(self, address: str) -> str:
        try:
            answer = self._http.request("GET", f"{address}{self._path}", preload_content=False)
            with answer:
                content = answer.read(LARGEST_PAGE + 1)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"no answer ({error})") from error
        if answer.status != 200:
            raise Unavailable(f"no metrics page: HTTP {answer.status}")
        if len(content) > LARGEST_PAGE:
            raise Unavailable(f"the metrics page has more than {LARGEST_PAGE} bytes")
        return content.decode("utf-8", "replace")
