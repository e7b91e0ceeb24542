"""What is sent to Cloud Storage, and what its service and the network may do without being noticed."""

from __future__ import annotations

import threading
from io import BytesIO
from pathlib import Path

import pytest

from tests.adapters.storage.gcs_server import BUCKET, Fault, GcsServer
from tests.adapters.storage.verbs import NAME, VERBS, each_verb, read
from tfcanary.adapters.storage.gcs import PIECE, GcsStorage
from tfcanary.core.errors import Conflict

# What is sent


def test_creating_asks_for_a_name_that_is_not_there(server: GcsServer, gcs: GcsStorage) -> None:
    gcs.write("a", b"1", if_generation=0)
    (asked,) = server.sent("POST")
    assert asked.query["ifGenerationMatch"] == "0"


def test_every_write_names_what_it_replaces(server: GcsServer, gcs: GcsStorage) -> None:
    first = gcs.write("a", b"1")
    second = gcs.write("a", b"2", first.generation)
    gcs.write("a", b"3")
    expected = ["0", str(first.generation), str(second.generation)]
    assert [asked.query["ifGenerationMatch"] for asked in server.sent("POST")] == expected


def test_a_large_file_names_what_it_replaces_and_its_checksum_before_the_first_byte(server: GcsServer, gcs: GcsStorage, big: Path) -> None:
    written = gcs.write("a", big, if_generation=0)
    (begun,) = server.sent("POST")
    assert (begun.query["uploadType"], begun.query["ifGenerationMatch"]) == ("resumable", "0")
    assert f'"crc32c": "{server.objects[NAME].resource(NAME)["crc32c"]}"'.encode() in begun.body
    assert [len(asked.body) for asked in server.sent("PUT")] == [PIECE, PIECE, 1000]
    assert written.size == 2 * PIECE + 1000


def test_a_small_content_is_sent_with_its_checksum(server: GcsServer, gcs: GcsStorage) -> None:
    gcs.write("a", b"123456789")
    (asked,) = server.sent("POST")
    assert asked.query["uploadType"] == "multipart"
    assert b'"crc32c": "4waSgw=="' in asked.body


def test_every_piece_is_read_at_the_generation_that_was_found(server: GcsServer, gcs: GcsStorage, big: Path) -> None:
    generation = server.put(NAME, big.read_bytes()).generation
    assert read(gcs) == big.read_bytes()
    asked = server.sent("GET", "'alt': 'media'")
    assert [one.query["generation"] for one in asked] == [str(generation)] * 3
    ends = [(0, PIECE - 1), (PIECE, 2 * PIECE - 1), (2 * PIECE, 2 * PIECE + 999)]
    assert [one.headers["range"] for one in asked] == [f"bytes={first}-{last}" for first, last in ends]


def test_every_deletion_names_what_it_deletes(server: GcsServer, gcs: GcsStorage) -> None:
    first, second = server.put(NAME, b"1").generation, server.put("models/m/b", b"2").generation
    gcs.delete("a")
    gcs.delete("b", if_generation=second)
    assert [asked.query["ifGenerationMatch"] for asked in server.sent("DELETE")] == [str(first), str(second)]


def test_a_listing_goes_through_all_pages_and_shows_no_empty_folders(server: GcsServer, gcs: GcsStorage) -> None:
    for number in range(8):
        server.put(f"models/m/{number}", b"1")
    server.put("models/m/7/", b"")
    server.put("models/other/9", b"1")
    assert [blob.name for blob in gcs.list()] == list("01234567")
    assert len(server.sent("GET")) == 3


def test_nothing_is_asked_about_the_bucket_itself(server: GcsServer, gcs: GcsStorage) -> None:
    """That would need a permission which nothing here needs."""
    gcs.write("a", b"1")
    gcs.list()
    assert [asked for asked in server.asked if asked.path.endswith(BUCKET)] == []


def test_what_is_stored_compressed_is_read_as_it_is_stored(server: GcsServer, gcs: GcsStorage) -> None:
    import gzip

    stored = gzip.compress(b"some text " * 100)
    server.put(NAME, stored, encoding="gzip")
    assert read(gcs) == stored


# What passes


@pytest.mark.parametrize(
    ("verb", "what"), [(verb, what) for verb in VERBS for what in (503, "cut")] + [("list", what) for what in (429, 500, 502, 504)]
)
def test_a_failure_in_passing_is_not_noticed(server: GcsServer, gcs: GcsStorage, big: Path, verb: str, what: int | str) -> None:
    """The first request of every kind fails, then they go through."""
    server.put(NAME, b"old")
    server.faults += [Fault(method, "/o", what, times=1) for method in ("GET", "POST", "PUT", "DELETE")]
    each_verb(gcs, big)[verb]()
    left = {"write": b"new", "upload": big.read_bytes(), "delete": None}.get(verb, b"old")
    assert (server.objects[NAME].content if NAME in server.objects else None) == left


@pytest.mark.parametrize("what", ["half", "short", "cut"])
def test_a_body_that_ends_early_is_asked_for_again_and_nothing_arrives_twice(
    server: GcsServer, gcs: GcsStorage, big: Path, what: str
) -> None:
    server.put(NAME, big.read_bytes())
    server.faults += [Fault("GET", "alt=media", what, times=2)]
    assert read(gcs) == big.read_bytes()
    assert len(server.sent("GET", "'alt': 'media'")) == 5


def test_a_creation_whose_answer_was_lost_is_no_conflict(server: GcsServer, gcs: GcsStorage) -> None:
    """It is tried again, and told that the name exists by now: made by ourselves."""
    server.faults.append(Fault("POST", "/upload/", "lost", times=1))
    written = gcs.write("a", b"1", if_generation=0)
    assert written.generation == server.objects[NAME].generation
    assert len(server.sent("POST")) == 2


def test_a_creation_that_somebody_else_won_is_a_conflict_also_with_the_same_content(server: GcsServer, gcs: GcsStorage) -> None:
    server.faults.append(Fault("POST", "/upload/", "cut", times=1))
    other = server.put(NAME, b"1")
    with pytest.raises(Conflict, match="somebody else"):
        gcs.write("a", b"1", if_generation=0)
    assert server.objects[NAME] is other


def test_a_deletion_whose_answer_was_lost_is_done(server: GcsServer, gcs: GcsStorage) -> None:
    generation = server.put(NAME, b"1").generation
    server.faults.append(Fault("DELETE", "/o/", "lost", times=1))
    gcs.delete("a", if_generation=generation)
    assert NAME not in server.objects


def test_a_large_upload_that_somebody_overtook_is_a_conflict(server: GcsServer, gcs: GcsStorage, big: Path) -> None:
    server.faults.append(Fault("PUT", "upload_id", 503, times=1))

    def overtake() -> None:
        while not server.sent("PUT"):
            pass
        server.put(NAME, b"other")

    overtaking = threading.Thread(target=overtake)
    overtaking.start()
    with pytest.raises(Conflict):
        gcs.write("a", big, if_generation=0)
    overtaking.join()
    assert server.objects[NAME].content == b"other"


def test_a_name_written_anew_while_it_is_read_is_a_conflict(server: GcsServer, gcs: GcsStorage, big: Path) -> None:
    server.put(NAME, big.read_bytes())

    class Overtaking(BytesIO):
        def write(self, piece: bytes) -> int:  # type: ignore[override]
            server.put(NAME, b"new")
            return super().write(piece)

    with pytest.raises(Conflict, match="anew"):
        gcs.read("a", Overtaking())
