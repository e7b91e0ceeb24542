"""What a watch costs the API server and the machine, with the default times: printed, by router, for each takes four minutes."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.proxy import Asked
from tests.cluster.site import Site

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.environ.get("TFCANARY_LONG") != "1", reason="takes a quarter of an hour: `make drills-long`"),
]
MINUTES = 2
MOST = 12
"""Calls of the step and of the guard together in a minute of a watch."""
DEFAULT = {
    "stage": {"poll": "10s", "minimum": "300s", "maximum": "600s"},
    "deploy": {"lease": "60s", "heartbeat": "60s", "handover": "300s", "ready_timeout": "60s"},
    "judge": {"latency": "none", "errors": {"margin_absolute": 0.05}},
}


@pytest.mark.parametrize("router", ["gateway", "istio", "nginx", "replicas"])
def test_step_and_guard_ask_the_api_server_at_most_twelve_times_a_watch_minute(site: Site) -> None:
    run = site.start("better", **DEFAULT)
    site.in_force(run)
    before = len(site.proxy.asked)
    time.sleep(15)  # its first poll, and what it remembers
    watch, guard = len(site.proxy.asked), len(site.pods_proxy.asked)
    time.sleep(60 * MINUTES)
    asked, beats = site.proxy.asked[watch:], site.pods_proxy.asked[guard:]
    peak = next(line.split()[1] for line in Path(f"/proc/{run.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"\n{site.router}: until the first poll {before} calls; per watch minute {told(asked)} by the step, {told(beats)} by the guard")
    print(f"peak memory of the process that watches: {int(peak) / 1024:.0f} MiB")
    assert len(asked) + len(beats) <= MOST * MINUTES
    run.kill()


def told(asked: Sequence[Asked]) -> str:
    kinds = Counter(f"{one.method} {one.path.rpartition('/namespaces/')[2].partition('/')[2]}" for one in asked)
    shown = ", ".join(f"{count / MINUTES:g} {kind}" for kind, count in kinds.most_common())
    return f"{len(asked) / MINUTES:g} ({shown})"
