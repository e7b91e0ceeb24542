"""What a directory promises beyond the port: model servers read the same files, and processes die at any moment."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from io import BytesIO
from multiprocessing import synchronize
from pathlib import Path

import pytest

from tfcanary.adapters.storage.blob_names import OWN_FOLDER
from tfcanary.adapters.storage.directory import UNFINISHED_AGE, DirectoryStorage
from tfcanary.core.errors import Conflict, Refused, Unavailable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def directory(root: Path) -> DirectoryStorage:
    return DirectoryStorage(root)


def bytes_read() -> int:
    """What this process has read so far, from the disk or from memory."""
    return int(Path("/proc/self/io").read_text().split()[1])


def create(root: Path, number: int, start: synchronize.Barrier, won: multiprocessing.Queue[int]) -> None:
    start.wait()
    try:
        DirectoryStorage(root).write("lease", b"%d" % number, if_generation=0)
    except Conflict:
        return
    won.put(number)


def test_of_processes_that_create_a_name_at_once_one_wins(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, won = context.Barrier(4), context.Queue()
    processes = [context.Process(target=create, args=(root, number, start, won)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (root / "lease").read_bytes() == b"%d" % won.get(timeout=5)
    assert won.empty()


def test_a_writer_that_is_killed_leaves_nothing_to_be_seen(root: Path, directory: DirectoryStorage) -> None:
    before = directory.write("7/model", b"whole")
    endless = "from pathlib import Path; from tfcanary.adapters.storage.directory import DirectoryStorage; import sys\n"
    endless += "DirectoryStorage(Path(sys.argv[1])).write('7/model', bytes(1 << 28))"
    with subprocess.Popen([sys.executable, "-c", endless, root]) as writer:
        while not any((root / OWN_FOLDER / "unfinished").iterdir()):
            time.sleep(0.002)
        writer.send_signal(signal.SIGKILL)
    assert directory.list() == (before,)
    after = directory.write("7/model", b"whole again", before.generation)
    assert directory.list() == (after,)


def test_what_killed_writers_left_is_swept_away_after_a_day(root: Path, directory: DirectoryStorage) -> None:
    directory.write("a", b"1")
    old, young = root / OWN_FOLDER / "unfinished" / "old", root / OWN_FOLDER / "unfinished" / "young"
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - UNFINISHED_AGE - 60, time.time() - UNFINISHED_AGE - 60))
    directory.write("a", b"2")
    assert (old.exists(), young.exists()) == (False, True)


def test_generations_differ_while_the_clock_stands_still_and_when_it_is_put_back(
    directory: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = time.time_ns()
    generations = []
    for now in (noon, noon, noon - 3600 * 10**9, noon):
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        generations.append(directory.write("a", b"1").generation)
        directory.delete("a")
        generations.append(directory.write("a", b"1").generation)
    assert generations == sorted(set(generations))


def test_a_generation_is_the_same_for_the_next_process(root: Path, directory: DirectoryStorage) -> None:
    written = directory.write("a", b"1")
    assert DirectoryStorage(root).list() == (written,)


def test_a_generation_survives_being_kept_as_a_floating_point_number(directory: DirectoryStorage) -> None:
    assert directory.write("a", b"1").generation < 2**53


def test_times_too_coarse_to_tell_two_writes_apart_are_refused(directory: DirectoryStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = os.utime
    monkeypatch.setattr(os, "utime", lambda path, ns: exact(path, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9)))
    with pytest.raises(Refused, match="microsecond"):
        directory.write("a", b"1")
    assert directory.list() == ()


def test_a_listing_does_not_read_what_it_knows(root: Path, directory: DirectoryStorage) -> None:
    written = directory.write("7/big", bytes(20 << 20))
    before = bytes_read()
    assert DirectoryStorage(root).list() == (written,)
    assert bytes_read() - before < 1 << 20


def test_a_file_that_others_put_there_is_read_once(root: Path, directory: DirectoryStorage) -> None:
    (root / "7").mkdir(parents=True)
    (root / "7" / "big").write_bytes(b"123456789")
    (listed,) = directory.list()
    assert (listed.name, listed.size, listed.checksum) == ("7/big", 9, "crc32c:e3069283")
    (root / "7" / "big").write_bytes(bytes(20 << 20))
    (changed,) = directory.list()
    before = bytes_read()
    assert directory.list() == (changed,)
    assert bytes_read() - before < 1 << 20


def test_a_file_changed_in_place_is_another_generation_with_another_checksum(root: Path, directory: DirectoryStorage) -> None:
    written = directory.write("a", b"123456789")
    (root / "a").write_bytes(b"123456780")
    (listed,) = directory.list()
    assert listed.generation != written.generation
    assert listed.checksum != written.checksum
    with pytest.raises(Conflict):
        directory.write("a", b"2", written.generation)


def test_putting_the_time_back_does_not_hide_a_change(root: Path, directory: DirectoryStorage) -> None:
    written = directory.write("a", b"123456789")
    (root / "a").write_bytes(b"123456780")
    os.utime(root / "a", ns=(written.generation * 1000, written.generation * 1000))
    assert directory.list()[0].checksum != written.checksum


def test_a_file_from_before_the_epoch_has_a_generation_too(root: Path, directory: DirectoryStorage) -> None:
    root.mkdir()
    (root / "a").write_bytes(b"1")
    os.utime(root / "a", ns=(0, 0))
    assert directory.list()[0].generation == 1


def test_content_that_the_disk_damaged_is_refused(root: Path, directory: DirectoryStorage) -> None:
    directory.write("a", b"123456789")
    (entry,) = (root / OWN_FOLDER / "checksums").iterdir()
    entry.write_text(entry.read_text().replace("crc32c:e3069283", "crc32c:e3069284"))
    with pytest.raises(Refused, match="damaged"):
        directory.read("a", BytesIO())


def test_an_index_that_was_lost_or_cut_off_is_made_anew(root: Path, directory: DirectoryStorage) -> None:
    written = directory.write("a", b"123456789")
    (entry,) = (root / OWN_FOLDER / "checksums").iterdir()
    entry.write_text(entry.read_text()[:-3])
    assert directory.list() == (written,)
    entry.unlink()
    assert directory.list() == (written,)
    assert entry.read_text().endswith("crc32c:e3069283")


def test_the_index_forgets_what_is_deleted(root: Path, directory: DirectoryStorage) -> None:
    for number in range(3):
        directory.write("state", b"%d" % number)
        directory.write(f"{number}/model", b"1")
        directory.delete(f"{number}/model")
    assert len(list((root / OWN_FOLDER / "checksums").iterdir())) == 1


def test_servers_see_plain_readable_files_and_no_folder_left_empty(root: Path, directory: DirectoryStorage) -> None:
    previous = os.umask(0o022)
    try:
        directory.write("7/variables/data", b"1")
        directory.write("7/saved_model.pb", b"1")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((root / "7" / "saved_model.pb").stat().st_mode) == 0o644
    assert sorted(path.name for path in root.iterdir()) == [OWN_FOLDER, "7"]
    assert sorted(path.name for path in (root / "7").iterdir()) == ["saved_model.pb", "variables"]
    directory.delete("7/variables/data")
    assert [path.name for path in (root / "7").iterdir()] == ["saved_model.pb"]
    directory.delete("7/saved_model.pb")
    assert [path.name for path in root.iterdir()] == [OWN_FOLDER]


def test_the_bookkeeping_of_a_storage_further_down_is_not_listed(root: Path, directory: DirectoryStorage) -> None:
    DirectoryStorage(root / "m").write("7/a", b"1")
    assert [blob.name for blob in directory.list()] == ["m/7/a"]


def test_the_root_may_be_reached_through_a_link(root: Path, directory: DirectoryStorage, tmp_path: Path) -> None:
    written = directory.write("a", b"1")
    (tmp_path / "link").symlink_to(root)
    assert DirectoryStorage(tmp_path / "link").list() == (written,)


@pytest.mark.parametrize("link", ["7", "7/inner", "7/inner/a"])
def test_a_link_below_the_root_is_refused_whatever_is_asked(root: Path, directory: DirectoryStorage, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    for place in (outside / "inner" / "a", outside / "a"):
        place.write_text("secret")
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to({"7": outside, "7/inner": outside / "inner", "7/inner/a": outside / "a"}[link])
    into = BytesIO()
    for ask in (
        directory.list,
        lambda: directory.list("7/inner/"),
        lambda: directory.read("7/inner/a", into),
        lambda: directory.write("7/inner/a", b"1"),
        lambda: directory.delete("7/inner/a"),
    ):
        with pytest.raises(Refused, match="link"):
            ask()
    assert into.getvalue() == b""
    assert (outside / "inner" / "a").read_text() == "secret"


def test_what_is_neither_file_nor_folder_is_refused(root: Path, directory: DirectoryStorage) -> None:
    root.mkdir()
    os.mkfifo(root / "pipe")
    for ask in (directory.list, lambda: directory.read("pipe", BytesIO()), lambda: directory.delete("pipe")):
        with pytest.raises(Refused, match="pipe"):
            ask()


def test_a_name_cannot_be_a_file_and_a_folder(directory: DirectoryStorage) -> None:
    directory.write("7/a", b"1")
    for name in ("7", "7/a/b"):
        with pytest.raises(Refused, match="7"):
            directory.write(name, b"2")
    with pytest.raises(Refused, match="7"):
        directory.delete("7")
    assert [blob.name for blob in directory.list()] == ["7/a"]


def test_a_part_too_long_for_the_disk_is_refused(directory: DirectoryStorage) -> None:
    with pytest.raises(Refused, match="at most"):
        directory.write("7/" + "x" * 300, b"1")


def test_a_full_disk_is_unavailable_and_leaves_what_was_there(directory: DirectoryStorage) -> None:
    before = directory.write("a", b"1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # as close to a full disk as a test can come
    try:
        with pytest.raises(Unavailable, match="writing a"):
            directory.write("a", bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert directory.list() == (before,)


def test_a_write_that_was_refused_leaves_nothing_behind(root: Path, directory: DirectoryStorage) -> None:
    directory.write("a", b"1")
    with pytest.raises(Conflict):
        directory.write("a", b"2", if_generation=0)
    with pytest.raises(Refused):
        directory.write("b", root / "missing")
    assert list((root / OWN_FOLDER / "unfinished").iterdir()) == []
