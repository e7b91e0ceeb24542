"""`up` and `down`: what they say, and when `down` asks first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.adapters.local.conftest import a_release
from tfcanary.adapters import local
from tfcanary.cli import local as verbs
from tfcanary.core.domain import Desired, Traffic
from tfcanary.core.record import State

ACTIVE = {"digits": a_release("run-1", state=State.WATCHED, desired=Desired(Traffic(canary=25)))}


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose platforms were ended; a release is active."""
    folders: list[Path] = []
    monkeypatch.setattr(local, "down", folders.append)
    monkeypatch.setattr(local, "active_releases", lambda folder: ACTIVE)
    return folders


def down(*arguments: str, answer: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(verbs.down, ["--platform=local:///srv/state", *arguments], input=answer)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_down_asks_while_a_release_is_active_and_takes_silence_for_no(ended: list[Path], answer: str) -> None:
    code, _, asked = down(answer=answer)
    assert code != 0
    assert "release 'run-1' of digits is active: watched, traffic 25 %" in asked
    assert "the release is rolled back. Stop it (--yes)?" in asked
    assert ended == []


def test_down_goes_on_after_a_yes(ended: list[Path]) -> None:
    assert down(answer="y\n")[0] == 0
    assert ended == [Path("/srv/state")]


def test_down_with_yes_asks_nothing_and_prints_one_object(ended: list[Path]) -> None:
    code, out, asked = down("--yes", "--json")
    assert (code, json.loads(out)["decision"], asked) == (0, "down", "")
    assert ended == [Path("/srv/state")]


def test_down_without_an_active_release_asks_nothing(ended: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "active_releases", lambda folder: {})
    code, _, said = down()
    assert (code, said) == (0, "the local platform is down: local:///srv/state\n")
    assert ended == [Path("/srv/state")]


@pytest.mark.parametrize("verb", [verbs.up, verbs.down])
def test_another_platform_is_refused(verb: object) -> None:
    done = CliRunner().invoke(verb, ["--platform=kube://serving"])  # type: ignore[arg-type]
    assert "this verb is for local:///<state folder> only" in str(done.exception)
