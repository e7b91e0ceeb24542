"""Logs have an end."""

from __future__ import annotations

from pathlib import Path

from tfcanary.adapters.local.logs import remove_oldest, shorten


def test_a_log_that_grows_too_long_begins_anew_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        shorten(log, limit=40)
        assert log.stat().st_size == 40
        shorten(log, limit=39)
        writer.write(b"new\n")
    assert log.read_text() == "new\n"
    assert (tmp_path / "server.log.1").read_text() == "old\n" * 10


def test_of_recorded_requests_the_newest_are_kept(tmp_path: Path) -> None:
    """A file that is still being written has a hidden name, and is nobody's business."""
    for name in ("requests-1", "requests-2", "requests-3", ".requests-4"):
        (tmp_path / name).write_bytes(b"x" * 100)
    remove_oldest(tmp_path, limit=250)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".requests-4", "requests-2", "requests-3"]
