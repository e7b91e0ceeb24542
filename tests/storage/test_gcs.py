"""What is sent to Cloud Storage, and what comes of a service or a network that does not play along."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from tests.storage.gcs_server import BUCKET, Fault, GcsServer
from tfcanary.errors import Conflict, Refused, TfcanaryError, Unavailable
from tfcanary.storage.gcs import PIECE, GcsStorage

NAME = "models/m/a"


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of two whole pieces and a bit."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(2 * PIECE + 1000))
    return path


def read(gcs: GcsStorage, generation: int | None = None) -> bytes:
    into = BytesIO()
    gcs.read("a", into, generation)
    return into.getvalue()


def each_verb(gcs: GcsStorage, big: Path) -> dict[str, Callable[[], object]]:
    return {
        "list": gcs.list,
        "read": lambda: read(gcs),
        "write": lambda: gcs.write("a", b"new"),
        "upload": lambda: gcs.write("a", big),
        "delete": lambda: gcs.delete("a"),
    }


VERBS = ["list", "read", "write", "upload", "delete"]


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


# What does not pass


@pytest.mark.parametrize("what", [503, "cut"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_failure_that_lasts_is_unavailable_and_names_bucket_and_host(server: GcsServer, big: Path, verb: str, what: int | str) -> None:
    server.put(NAME, b"old")
    server.faults += [Fault(method, "/o", what) for method in ("GET", "POST", "PUT", "DELETE")]
    with pytest.raises(Unavailable, match=rf"gs://{BUCKET}/models/m/.*{server.url}"):
        each_verb(GcsStorage(BUCKET, "models/m/", deadline=0.3), big)[verb]()
    assert server.objects[NAME].content == b"old"


@pytest.mark.parametrize("what", ["half", "short"])
def test_a_body_that_always_ends_early_is_unavailable(server: GcsServer, what: str) -> None:
    server.put(NAME, b"0123456789")
    server.faults.append(Fault("GET", "alt=media", what))
    with pytest.raises(Unavailable, match=BUCKET):
        read(GcsStorage(BUCKET, "models/m/", deadline=0.3))


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_never_answers_is_given_up(server: GcsServer, big: Path, verb: str) -> None:
    server.faults += [Fault(method, "/o", "silent") for method in ("GET", "POST")]
    with pytest.raises(Unavailable, match=server.url):
        each_verb(GcsStorage(BUCKET, "models/m/", deadline=0.3), big)[verb]()


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_at_the_address_is_unavailable(big: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=rf"gs://{BUCKET}/models/m/.*http://127\.0\.0\.1:9"):
        each_verb(GcsStorage(BUCKET, "models/m/", deadline=0.3), big)[verb]()


@pytest.mark.parametrize(
    ("verb", "permission"),
    [
        ("list", "storage.objects.list"),
        ("read", "storage.objects.get"),
        ("write", "storage.objects.create"),
        ("upload", "storage.objects.create"),
        ("delete", "storage.objects.delete"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_permission_that_lacks(
    server: GcsServer, gcs: GcsStorage, big: Path, verb: str, permission: str
) -> None:
    server.put(NAME, b"old")
    where = "alt=media" if verb == "read" else "prefix="
    server.faults += [Fault(method, where if method == "GET" else "/o", 403) for method in ("GET", "POST", "DELETE")]
    with pytest.raises(Refused, match=rf"needs {permission}.*as the test wants it"):
        each_verb(gcs, big)[verb]()
    assert server.objects[NAME].content == b"old"


@pytest.mark.parametrize("verb", VERBS)
def test_credentials_that_are_not_taken_are_refused(server: GcsServer, gcs: GcsStorage, big: Path, verb: str) -> None:
    server.faults += [Fault(method, "/o", 401) for method in ("GET", "POST", "DELETE")]
    with pytest.raises(Refused, match="credentials"):
        each_verb(gcs, big)[verb]()


def test_without_any_credentials_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(Refused, match=r"gs://tested/.* credentials"):
        GcsStorage(BUCKET).list()


def test_a_bucket_that_does_not_exist_is_refused(server: GcsServer) -> None:
    nowhere = GcsStorage("nowhere")
    for ask in (nowhere.list, lambda: nowhere.write("a", b"1"), lambda: nowhere.read("a", BytesIO())):
        with pytest.raises(Refused, match="nowhere"):
            ask()


def test_any_other_refusal_of_the_service_is_refused(server: GcsServer, gcs: GcsStorage) -> None:
    server.faults.append(Fault("GET", "prefix=", 400))
    with pytest.raises(Refused, match="as the test wants it"):
        gcs.list()


def test_content_damaged_on_its_way_down_is_unavailable(server: GcsServer, gcs: GcsStorage, big: Path) -> None:
    server.put(NAME, big.read_bytes())
    server.faults.append(Fault("GET", "alt=media", "damaged", times=1))
    with pytest.raises(Unavailable, match=r"damaged.*crc32c:.*crc32c:"):
        read(gcs)


@pytest.mark.parametrize("verb", ["write", "upload"])
def test_content_damaged_on_its_way_up_does_not_stay(server: GcsServer, gcs: GcsStorage, big: Path, verb: str) -> None:
    server.faults += [Fault("POST", "uploadType=multipart", "damaged"), Fault("PUT", "upload_id", "damaged")]
    with pytest.raises(Unavailable, match=r"damaged.*crc32c:.*crc32c:"):
        each_verb(gcs, big)[verb]()
    assert server.objects == {}


def test_a_page_that_is_no_json_is_unavailable(server: GcsServer, gcs: GcsStorage) -> None:
    """A proxy that wants a login answers 200 with its own page."""
    server.put(NAME, b"1")
    server.faults.append(Fault("GET", "prefix=", "damaged"))
    with pytest.raises(Unavailable, match=server.url):
        gcs.list()


@pytest.mark.parametrize("status", [403, 400, 503])
def test_an_error_does_not_show_the_key_of_an_upload(server: GcsServer, big: Path, status: int) -> None:
    """Whoever has it can continue the upload."""
    server.faults.append(Fault("PUT", "upload_id", status))
    with pytest.raises(TfcanaryError, match=NAME) as raised:
        GcsStorage(BUCKET, "models/m/", deadline=0.3).write("a", big)
    assert "upload_id" not in str(raised.value)
