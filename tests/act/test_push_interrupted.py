"""A push that is interrupted at any byte leaves nothing that could be served, and run again it ends in the same state."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.act.conftest import manifest_of
from tests.fakes import World
from tfcanary.act import push
from tfcanary.act.push_progress import LOG_INTERVAL, ProgressLine
from tfcanary.adapters.storage import checksums, open_storage
from tfcanary.core.errors import Refused

PIECE = 13


class Dies(Exception):
    """The process is killed."""


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """The world's versions lie in this directory."""
    world.storage = open_storage(str(tmp_path / "bucket"))  # type: ignore[assignment]
    return tmp_path / "bucket"


@pytest.fixture
def small(model: Path) -> Path:
    """Few bytes, so that a test can die at each of them."""
    (model / "variables/variables.data-00000-of-00001").write_bytes(b"weights" * 20)
    return model


def dies_after(left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is copied or read back counts."""

    def pieces(source: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
        nonlocal left
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                raise Dies
            yield piece

    monkeypatch.setattr(checksums, "pieces", pieces)


def servable(folder: Path, model: Path) -> bool:
    """Whether a server that watches the directory would load something that is not the whole model."""
    for graph in folder.glob("digits/[0-9]*/saved_model.pb"):
        there = {path.relative_to(graph.parent): path.read_bytes() for path in graph.parent.rglob("*") if path.is_file()}
        whole = {path.relative_to(model): path.read_bytes() for path in model.rglob("*") if path.is_file()}
        return there != whole
    return False


@pytest.mark.parametrize("byte", range(0, 460, 23))
def test_killed_at_any_byte_and_run_again_it_ends_the_same(
    world: World, folder: Path, small: Path, monkeypatch: pytest.MonkeyPatch, byte: int
) -> None:
    manifest = manifest_of(small)
    with monkeypatch.context() as patch:
        dies_after(byte, patch)
        try:
            push.push(world.platform(), small, manifest)
        except Dies:
            assert not servable(folder, small)
    version = push.push(world.platform(), small, manifest)
    assert version.number == 2
    assert push.verify(world.platform(), version) == version
    assert sorted(path.name for path in (folder / "digits").iterdir()) == ["2", "versions"]


def test_other_bytes_under_the_number_are_found_before_the_graph_is_written(world: World, folder: Path, small: Path) -> None:
    manifest = manifest_of(small)
    world.storage.write("digits/2/variables/variables.index", b"other")
    with pytest.raises(Refused, match=r"variables\.index: the bucket holds other bytes"):
        push.push(world.platform(), small, manifest, number=2)
    assert not (folder / "digits/2/saved_model.pb").exists()


def test_two_pushes_of_the_same_bytes_at_once_are_one(world: World, folder: Path, model: Path) -> None:
    manifest = manifest_of(model)
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda _: push.push(world.platform(), model, manifest), range(4)))
    assert {one.number for one in versions} == {2}


def test_pushes_of_other_bytes_at_once_never_share_a_number(world: World, folder: Path, model: Path, tmp_path: Path) -> None:
    models = []
    for number in range(4):
        copy = tmp_path / f"export-{number}"
        copy.mkdir()
        (copy / "saved_model.pb").write_bytes(f"graph {number}".encode())
        models.append(copy)
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda one: push.push(world.platform(), one, manifest_of(one)), models))
    assert len({one.number for one in versions}) == 4


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    return Terminal()


def test_a_terminal_sees_a_bar_with_bytes_and_rate(screen: Terminal) -> None:
    with ProgressLine(2_000_000, screen) as progress:
        progress(500_000)
        progress(1_500_000)
    last = screen.getvalue().rpartition("push and read back")[2]
    assert re.search(r" ━+ 100% 2\.0/2\.0 MB [0-9.,?]+ ?[kMG]?B?/?s?", last)


def test_a_push_that_fails_leaves_the_terminal_as_it_was(screen: Terminal) -> None:
    def push_half(progress: ProgressLine) -> None:
        progress(1_000_000)
        raise Dies

    with pytest.raises(Dies), ProgressLine(2_000_000, screen) as progress:
        push_half(progress)
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().rfind(visible) > screen.getvalue().rfind(hidden) >= 0, "the cursor is back"
    assert " 50%" in screen.getvalue()


def test_a_log_gets_a_line_at_each_interval_and_at_the_end() -> None:
    log, now = io.StringIO(), [0.0]
    with ProgressLine(2_000_000, log, lambda: now[0]) as progress:
        for _ in range(4):
            now[0] += LOG_INTERVAL / 2
            progress(500_000)
    assert log.getvalue().splitlines() == [
        "push and read back: 50 %, 1.0 of 2.0 MB at 0.2 MB/s",
        "push and read back: 100 %, 2.0 of 2.0 MB at 0.2 MB/s",
    ]


def test_a_step_whose_log_is_a_file_does_not_import_the_terminal_library() -> None:
    code = (
        "import io, sys; from tfcanary.act import push_progress as p; p.ProgressLine(1, io.StringIO())(1); sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_log_gets_a_line_now_and_then(world: World, model: Path) -> None:
    log = io.StringIO()
    manifest = manifest_of(model)
    push.push(world.platform(), model, manifest, ProgressLine(2 * sum(one.size for one in manifest.files), log))
    assert len(log.getvalue().splitlines()) == 1
    assert "100 %, 0.0 of 0.0 MB" in log.getvalue()
