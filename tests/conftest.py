"""What most tests begin with: a world with a stable version, and a plan whose times suit a test."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes import World
from tfcanary.core import codec
from tfcanary.core.plan import Plan

# The image of the steps is named without "python" by people who build their own: KFP's local runner remarks on it.
warnings.filterwarnings("ignore", message=".*does not contain 'python'.*")

# What is slow on a busy machine is no fault of the input.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

TESTS = Path(__file__).parent
ROOMS = {"core", "act", "decide", "adapters", "look", "tf", "run"}
"""Folders whose own folders are run apart, as the library's rooms are."""
CLUSTER = {"cluster", "deploy", "adapters/kubeclient", "adapters/kube", "adapters/routing", "run/monitor"}
"""Folders whose tests share one control plane."""
LONG = ("cluster", "release", "notebooks", "decide/drift")
"""Groups that take minutes: they begin first, or one process would end long after the others."""

QUICK = {
    "weights": [10, 50],
    "stage": {"poll": "5s", "minimum": "30s", "maximum": "900s"},
    "judge": {
        "minimum_time": "60s",
        "settle": "5s",
        "warmup": "10s",
        "errors": {"margin_absolute": 0.02},
        "latency": {"tolerance": 0.1, "margin": 0.5, "tail_tolerance": 0.3, "tail_share_margin": 2.0},
    },
}


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in this same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run the tests, a folder is run by one of them: what it starts once is started once."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: LONG.index(group(item)) if group(item) in LONG else len(LONG))


def group(item: pytest.Item) -> str:
    parts = item.path.relative_to(TESTS).parts
    folder = "/".join(parts[: 2 if parts[0] in ROOMS else 1])
    return "cluster" if folder in CLUSTER else folder


@pytest.fixture
def plan() -> Plan:
    decoded: Plan = codec.decode(Plan, QUICK)
    return decoded


@pytest.fixture
def world() -> World:
    """Version 1 is stable and has served for a while."""
    world = World()
    world.has_stable()
    world.clock.sleep(30)
    return world
