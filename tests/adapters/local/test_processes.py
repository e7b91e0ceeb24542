"""Children that are started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.local.conftest import lives, until
from tfcanary.adapters.local import processes
from tfcanary.adapters.local.processes import Process, RestartingProcess, exit_text, last_line, start


class Child(RestartingProcess):
    """A command that is started again; `pids` are its lives."""

    def __init__(self, output: Path, *command: str) -> None:
        super().__init__("child")
        self.command, self.output = command, output
        self.pids: list[int] = []

    async def launch(self) -> Process:
        process = start(self.command, self.output)
        self.pids.append(process.pid)
        return process


class DoesNotSettle(Child):
    async def settle(self, process: Process) -> None:
        raise OSError("no space left")


class CannotTell(Child):
    def on_exit(self, code: int) -> bool:
        raise OSError("no space left")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)


def keep(child: Child, enough: Callable[[], bool]) -> None:
    """Keep the child until it was enough; then it is over."""

    async def kept() -> None:
        child.begin()
        while not enough():
            await asyncio.sleep(0.01)
        await child.end(grace=5.0)

    asyncio.run(asyncio.wait_for(kept(), 60))
    until(lambda: not any(lives(pid) for pid in child.pids))
    assert child.state == "over"


def test_what_ends_is_started_again(tmp_path: Path) -> None:
    child = Child(tmp_path / "log", "sh", "-c", "echo $$; exit 3")
    keep(child, lambda: len(child.pids) >= 3)
    assert (tmp_path / "log").read_text().split()[:2] == [str(pid) for pid in child.pids[:2]]


def test_what_lives_is_left_alone_and_ended_with_sigterm(tmp_path: Path) -> None:
    child = Child(tmp_path / "log", "sh", "-c", "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    keep(child, lambda: "up" in (tmp_path / "log").read_text() if child.pids else False)
    assert len(child.pids) == 1
    assert last_line(tmp_path / "log") == "asked"


def test_what_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    child = Child(tmp_path / "log", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")

    async def killed() -> None:
        child.begin()
        while not child.pids or "up" not in child.output.read_text():
            await asyncio.sleep(0.01)
        await child.end(grace=0.2)

    asyncio.run(asyncio.wait_for(killed(), 60))
    assert not lives(child.pids[0])


def test_what_cannot_come_up_is_started_again(tmp_path: Path) -> None:
    child = DoesNotSettle(tmp_path / "log", "sleep", "3600")
    keep(child, lambda: len(child.pids) >= 2)


def test_a_full_disk_at_the_wrong_moment_ends_nothing_for_good(tmp_path: Path) -> None:
    child = CannotTell(tmp_path / "log", "true")
    keep(child, lambda: len(child.pids) >= 2)
    assert "no space left" in child.message


def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    child = Child(tmp_path / "log", str(tmp_path / "nowhere"))
    keep(child, lambda: child.state == "ended")
    assert "could not be started" in child.message


def test_an_end_is_told_in_exit_text() -> None:
    assert exit_text(3) == "exit code 3"
    assert exit_text(-9) == "signal 9 (Killed)"
    assert exit_text(-40).startswith("signal 40")


def test_the_last_words_are_the_last_line_that_is_not_empty(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("first\n" + "x" * 5000 + "\nlast words\n\n")
    assert last_line(log) == "last words"
    assert last_line(log, limit=4) == "last"
