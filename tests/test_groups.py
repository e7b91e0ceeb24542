"""Where several processes run the tests, what a folder starts once is started once."""

from __future__ import annotations

import pytest


def test_pytest_xdist_knows_the_group_of_a_test(request: pytest.FixtureRequest) -> None:
    """It reads the groups in a hook of its own, writes them behind a test's name, and is silent where either does not work."""
    grouped = bool(getattr(request.config.option, "loadgroup", False))
    assert request.node.nodeid.endswith("@test_groups.py") is grouped
