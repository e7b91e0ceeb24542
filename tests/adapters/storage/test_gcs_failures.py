"""What comes of a service or a network that does not play along for good."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from tests.adapters.storage.gcs_server import BUCKET, Fault, GcsServer
from tests.adapters.storage.verbs import NAME, VERBS, each_verb, read
from tfcanary.adapters.storage.gcs import GcsStorage
from tfcanary.core.errors import Refused, TfcanaryError, Unavailable


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
