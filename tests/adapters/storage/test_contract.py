"""What `ports.Storage` promises, asked of every storage there is."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Storage

ODD_NAMES = ["1/a b", "1/ä", "1/50%25", "1/what?", "1/a#b", "1/+&=", "1/.hidden", "1/..b"]
BAD_NAMES = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/..", ".", "./a", "a\0b", "a\nb", "\ud800", "x" * 1025, "a/.tfcanary-storage/b"]


def content(storage: Storage, name: str) -> bytes:
    into = BytesIO()
    storage.read(name, into)
    return into.getvalue()


def names(storage: Storage, prefix: str = "") -> list[str]:
    return [blob.name for blob in storage.list(prefix)]


def test_a_storage_that_nobody_has_written_to_lists_nothing(storage: Storage) -> None:
    assert storage.list() == ()
    assert storage.list("7/") == ()


def test_the_listing_shows_size_generation_and_checksum(storage: Storage) -> None:
    written = storage.write("7/check", b"123456789")
    assert (written.name, written.size, written.checksum) == ("7/check", 9, "crc32c:e3069283")
    assert written.generation > 0
    assert storage.list() == (written,)


def test_the_listing_is_sorted_and_goes_by_prefix(storage: Storage) -> None:
    for name in ("b", "7/b", "70/a", "7/a/c", "7/ab", "7/Z"):
        storage.write(name, name.encode())
    assert names(storage) == ["7/Z", "7/a/c", "7/ab", "7/b", "70/a", "b"]
    assert names(storage, "7") == ["7/Z", "7/a/c", "7/ab", "7/b", "70/a"]
    assert names(storage, "7/") == ["7/Z", "7/a/c", "7/ab", "7/b"]
    assert names(storage, "7/a") == ["7/a/c", "7/ab"]
    assert names(storage, "7/a/c") == ["7/a/c"]
    assert names(storage, "8/") == []


def test_what_is_read_is_what_was_written(storage: Storage) -> None:
    written = storage.write("a", b"some bytes")
    into = BytesIO()
    assert storage.read("a", into) == written
    assert into.getvalue() == b"some bytes"
    assert storage.read("a", BytesIO(), written.generation) == written


def test_reading_a_missing_name_is_refused(storage: Storage) -> None:
    storage.write("a/b", b"1")
    for name in ("b", "a", "a/b/c"):
        with pytest.raises(Refused):
            storage.read(name, BytesIO())


def test_another_generation_is_a_conflict_and_nothing_is_read(storage: Storage) -> None:
    first = storage.write("a", b"first")
    storage.write("a", b"second")
    into = BytesIO()
    with pytest.raises(Conflict):
        storage.read("a", into, first.generation)
    assert into.getvalue() == b""


def test_a_name_is_created_only_once(storage: Storage) -> None:
    written = storage.write("a", b"first", if_generation=0)
    with pytest.raises(Conflict):
        storage.write("a", b"second", if_generation=0)
    assert storage.list() == (written,)
    assert content(storage, "a") == b"first"


def test_a_write_over_the_generation_that_is_there_replaces_it(storage: Storage) -> None:
    first = storage.write("a", b"first")
    second = storage.write("a", b"second", if_generation=first.generation)
    assert content(storage, "a") == b"second"
    with pytest.raises(Conflict):
        storage.write("a", b"third", if_generation=first.generation)
    assert storage.list() == (second,)


def test_a_write_over_a_generation_of_a_missing_name_is_a_conflict(storage: Storage) -> None:
    gone = storage.write("a", b"1")
    storage.delete("a")
    with pytest.raises(Conflict):
        storage.write("a", b"2", if_generation=gone.generation)
    assert storage.list() == ()


def test_every_write_has_a_generation_of_its_own(storage: Storage) -> None:
    """Also the same content, and a name that was deleted in between."""
    generations = []
    for _ in range(5):
        generations.append(storage.write("a", b"same").generation)
        generations.append(storage.write("a", b"same").generation)
        storage.delete("a")
    assert len(set(generations)) == 10


def test_of_those_who_create_a_name_at_once_one_wins(storage: Storage) -> None:
    def create(number: int) -> bytes | None:
        try:
            storage.write("a", b"%d" % number, if_generation=0)
        except Conflict:
            return None
        return b"%d" % number

    with ThreadPoolExecutor(12) as pool:
        winners = [won for won in pool.map(create, range(12)) if won is not None]
    assert winners == [content(storage, "a")]


def test_compare_and_swap_loses_no_update(storage: Storage) -> None:
    storage.write("sum", b"0")

    def add(_: int) -> None:
        while True:
            into = BytesIO()
            read = storage.read("sum", into)
            try:
                storage.write("sum", b"%d" % (int(into.getvalue()) + 1), read.generation)
            except Conflict:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert content(storage, "sum") == b"12"


def test_deleting_takes_the_name_away_and_may_be_repeated(storage: Storage) -> None:
    storage.write("7/a", b"1")
    storage.write("8/a", b"1")
    storage.delete("7/a")
    storage.delete("7/a")
    assert names(storage) == ["8/a"]
    storage.delete("7/b", if_generation=3)


def test_another_generation_is_not_deleted(storage: Storage) -> None:
    first = storage.write("a", b"first")
    second = storage.write("a", b"second")
    with pytest.raises(Conflict):
        storage.delete("a", if_generation=first.generation)
    assert storage.list() == (second,)
    storage.delete("a", if_generation=second.generation)
    assert storage.list() == ()


def test_a_file_is_written_as_its_bytes_are(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    from_file = storage.write("file", source)
    from_bytes = storage.write("bytes", source.read_bytes())
    assert (from_file.size, from_file.checksum) == (from_bytes.size, from_bytes.checksum)
    assert content(storage, "file") == source.read_bytes()


def test_more_than_one_piece_arrives_whole(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom((17 << 20) + 5))
    storage.write("7/big", source, if_generation=0)
    assert content(storage, "7/big") == source.read_bytes()


def test_nothing_is_content_too(storage: Storage) -> None:
    written = storage.write("empty", b"")
    assert (written.size, written.checksum) == (0, "crc32c:00000000")
    assert content(storage, "empty") == b""
    assert storage.list() == (written,)


def test_odd_names_are_kept_as_they_are(storage: Storage) -> None:
    for name in ODD_NAMES:
        storage.write(name, name.encode())
    assert names(storage) == sorted(ODD_NAMES)
    for name in ODD_NAMES:
        assert content(storage, name) == name.encode()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_could_lead_elsewhere_are_refused(storage: Storage, name: str) -> None:
    for ask in (
        lambda: storage.read(name, BytesIO()),
        lambda: storage.write(name, b""),
        lambda: storage.write(name, b"", if_generation=0),
        lambda: storage.delete(name),
    ):
        with pytest.raises(Refused, match="name"):
            ask()


@pytest.mark.parametrize("prefix", ["..", "../", "a/../", "/", "/etc/", "a//", "a\0"])
def test_prefixes_that_could_lead_elsewhere_are_refused(storage: Storage, prefix: str) -> None:
    with pytest.raises(Refused, match="name"):
        storage.list(prefix)


def test_only_plain_files_are_taken_as_content(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for bad in ("link", "folder", "pipe", "missing"):
        with pytest.raises(Refused, match=bad):
            storage.write("a", tmp_path / bad)
    assert storage.list() == ()
