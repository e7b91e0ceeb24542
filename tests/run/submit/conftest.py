"""The KFP host of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.submit.kfp_host import Host


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Host]:
    monkeypatch.setenv("HOME", str(tmp_path))  # the SDK keeps a context there
    host = Host()
    yield host
    host.close()
