"""`up` and `status` print where users' requests go: one port for REST and gRPC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_outputs import Captured, run
from tfcanary.adapters import local

MODEL = {"digits": {"address": "http://127.0.0.1:8600", "tracks": {"stable": "1", "canary": "2"}}}


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A platform that is up, with these models."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(local, "up", lambda folder, port: None)
    monkeypatch.setattr(local, "status", lambda folder: {"up": True, "port": 8600, "models": found})
    return found


def test_up_says_where_the_requests_of_the_first_model_go(models: dict[str, Any], capsys: Captured, tmp_path: Path) -> None:
    assert run("up", "--platform", f"local://{tmp_path}") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[1:] == ["the first model that is released here: REST http://127.0.0.1:8600, gRPC 127.0.0.1:8600"]


def test_up_and_status_say_where_the_requests_of_each_model_go(models: dict[str, Any], capsys: Captured, tmp_path: Path) -> None:
    models |= MODEL
    line = "digits: REST http://127.0.0.1:8600, gRPC 127.0.0.1:8600 (stable v1, canary v2)"
    assert run("up", "--platform", f"local://{tmp_path}") == 0
    assert capsys.readouterr().err.splitlines()[1:] == [line]
    assert run("status", "--platform", f"local://{tmp_path}") == 0
    assert line in capsys.readouterr().out


def test_up_has_the_addresses_as_json(models: dict[str, Any], capsys: Captured, tmp_path: Path) -> None:
    models |= MODEL
    assert run("up", "--platform", f"local://{tmp_path}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["addresses"] == {"digits": {"rest": "http://127.0.0.1:8600", "grpc": "127.0.0.1:8600"}}
