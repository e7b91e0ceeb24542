"""What is sent to S3, and what its service, the network and other writers may do without being noticed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import pytest

from tests.adapters.storage.gcs_server import BUCKET, Fault
from tests.adapters.storage.s3_server import S3Server
from tests.adapters.storage.verbs import NAME, VERBS, each_verb, read
from tfcanary.adapters.storage import open_storage, probe
from tfcanary.adapters.storage.s3 import CHECKSUM, PIECE, WRITE, S3Storage
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable

# What is sent


def conditions(server: S3Server, method: str) -> list[tuple[str | None, str | None]]:
    return [(one.headers.get("if-none-match"), one.headers.get("if-match")) for one in server.sent(method)]


def test_every_write_names_what_it_replaces(s3_server: S3Server, s3: S3Storage) -> None:
    first = s3.write("a", b"1", if_generation=0)
    etag = s3_server.objects[NAME].etag
    s3.write("a", b"2", first.generation)
    second = s3_server.objects[NAME].etag
    s3.write("a", b"3")
    creation, probed, *others = conditions(s3_server, "PUT")
    assert creation == probed == ("*", None), "the first creation is repeated: a server that accepts it ignores conditions"
    assert others == [(None, etag), (None, second)]


def test_the_server_is_tried_once_for_its_conditions(s3_server: S3Server, s3: S3Storage) -> None:
    for name in "abc":
        s3.write(name, b"1", if_generation=0)
    assert len(s3_server.sent("PUT")) == 4


def test_a_server_that_ignores_conditions_is_refused(s3_server: S3Server, s3: S3Storage) -> None:
    """Two pushes would have one number, and neither would know."""
    s3_server.ignores_conditions = True
    with pytest.raises(Refused, match=rf"s3://{BUCKET}/models/m/a: {s3_server.url} ignores `If-None-Match`"):
        s3.write("a", b"1", if_generation=0)


def test_a_small_content_is_sent_with_its_checksums(s3_server: S3Server, s3: S3Storage) -> None:
    s3.write("a", b"123456789")
    asked = s3_server.sent("PUT")[0]
    assert asked.headers["content-md5"] == base64.b64encode(hashlib.md5(b"123456789").digest()).decode()
    assert s3_server.objects[NAME].metadata[CHECKSUM] == "e3069283"


def test_a_large_file_goes_up_in_parts_and_appears_when_it_is_complete(s3_server: S3Server, s3: S3Storage, big: Path) -> None:
    written = s3.write("a", big, if_generation=0)
    assert [len(one.body) for one in s3_server.sent("PUT", "partNumber")] == [PIECE, PIECE, 1000]
    assert all("content-md5" in one.headers for one in s3_server.sent("PUT", "partNumber"))
    assert [one.headers.get("if-none-match") for one in s3_server.sent("POST", "uploadId")] == ["*"]
    assert (written.size, read(s3)) == (2 * PIECE + 1000, big.read_bytes())
    assert s3_server.uploads == {}


def test_every_piece_is_read_of_the_write_that_was_found(s3_server: S3Server, s3: S3Storage, big: Path) -> None:
    etag = s3_server.put(NAME, big.read_bytes()).etag
    assert read(s3) == big.read_bytes()
    asked = s3_server.sent("GET", f"/{NAME}")
    assert [one.headers["if-match"] for one in asked] == [etag] * 3
    ends = [(0, PIECE - 1), (PIECE, 2 * PIECE - 1), (2 * PIECE, 2 * PIECE + 999)]
    assert [one.headers["range"] for one in asked] == [f"bytes={first}-{last}" for first, last in ends]


def test_every_deletion_names_what_it_deletes(s3_server: S3Server, s3: S3Storage) -> None:
    etag = s3_server.put(NAME, b"1").etag
    s3.delete("a")
    assert conditions(s3_server, "DELETE") == [(None, etag)]


def test_a_server_that_compares_nothing_in_deletions_deletes_all_the_same(s3_server: S3Server, s3: S3Storage) -> None:
    s3_server.put(NAME, b"1")
    s3_server.faults.append(Fault("DELETE", NAME, 501, times=1))
    s3.delete("a")
    assert conditions(s3_server, "DELETE")[-1] == (None, None)
    assert s3_server.objects == {}


def test_a_listing_goes_through_all_pages_and_shows_no_empty_folders(s3_server: S3Server, s3: S3Storage) -> None:
    for number in range(8):
        s3_server.put(f"models/m/{number}", b"1")
    s3_server.put("models/m/7/", b"")
    s3_server.put("models/other/9", b"1")
    assert [blob.name for blob in s3.list()] == list("01234567")
    assert len(s3_server.sent("GET")) == 3


def test_an_object_that_cannot_have_changed_is_looked_at_once(s3_server: S3Server, s3: S3Storage) -> None:
    """Times of modification have whole seconds: what was written just now may be written again within one."""
    s3_server.put("models/m/old", b"1", age=60.0)
    s3_server.put("models/m/new", b"1", age=-60.0)
    assert s3.list() == s3.list()
    assert [one.path.rpartition("/")[2] for one in s3_server.sent("HEAD")].count("old") == 1
    assert [one.path.rpartition("/")[2] for one in s3_server.sent("HEAD")].count("new") == 2
    before = {blob.name: blob for blob in s3.list()}
    s3_server.put("models/m/old", b"2", age=30.0)
    assert {blob.name: blob for blob in s3.list()}["old"].generation != before["old"].generation


# What others write


def test_what_another_program_wrote_has_its_etag_for_a_checksum(s3_server: S3Server, s3: S3Storage) -> None:
    s3_server.put(NAME, b"123456789", age=60.0)
    (blob,) = s3.list()
    assert (blob.name, blob.size, blob.checksum) == ("a", 9, "etag:25f9e794323b453885f5181f1b624d0b")
    assert s3.read("a", BytesIO(), blob.generation) == blob
    with pytest.raises(Conflict):
        s3.write("a", b"new", blob.generation + 1)
    assert s3.write("a", b"new", blob.generation).checksum.startswith("crc32c:")


def test_generations_rise_with_time_whoever_writes(s3_server: S3Server, s3: S3Storage) -> None:
    """The newest of several versions that have no numbers is found by them."""
    ages = {"c": 300.0, "a": 200.0, "b": 100.0}
    for name, age in ages.items():
        s3_server.put(f"models/m/{name}", b"same", age=age)
    s3.write("d", b"same")
    assert [blob.name for blob in sorted(s3.list(), key=lambda blob: blob.generation)] == ["c", "a", "b", "d"]


def test_other_content_with_the_same_size_and_metadata_is_another_generation(s3_server: S3Server, s3: S3Storage) -> None:
    """Whoever may write to the bucket can copy the metadata; the server computes the ETag."""
    before = s3.write("a", b"validated")
    forged = s3_server.put(NAME, b"malicious", dict(s3_server.objects[NAME].metadata))
    assert forged.metadata.keys() == {WRITE, CHECKSUM}
    (after,) = s3.list()
    assert (after.size, after.checksum) == (before.size, before.checksum)
    assert after.generation != before.generation
    with pytest.raises(Unavailable, match=r"damaged.*crc32c:.*crc32c:"):
        read(s3)


@pytest.mark.parametrize(
    "metadata", [{WRITE: "x"}, {WRITE: "9" * 40 + "-" + "0" * 32, CHECKSUM: "0" * 8}, {WRITE: "1-" + "0" * 32, CHECKSUM: "</a>"}]
)
def test_metadata_that_are_not_ours_are_nobodys(s3_server: S3Server, s3: S3Storage, metadata: dict[str, str]) -> None:
    s3_server.put(NAME, b"1", metadata)
    (blob,) = s3.list()
    assert blob.checksum.startswith("etag:")
    assert read(s3) == b"1"


# What passes


@pytest.mark.parametrize(
    ("verb", "what"), [(verb, what) for verb in VERBS for what in (503, "cut")] + [("list", what) for what in (429, 500, 502, 504)]
)
def test_a_failure_in_passing_is_not_noticed(s3_server: S3Server, s3: S3Storage, big: Path, verb: str, what: int | str) -> None:
    """The first request of every kind fails, then they go through."""
    s3_server.put(NAME, b"old")
    s3_server.faults += [Fault(method, "/tested", what, times=1) for method in ("GET", "HEAD", "POST", "PUT", "DELETE")]
    each_verb(s3, big)[verb]()
    left = {"write": b"new", "upload": big.read_bytes(), "delete": None}.get(verb, b"old")
    assert (s3_server.objects[NAME].content if NAME in s3_server.objects else None) == left


@pytest.mark.parametrize("what", ["half", "short", "cut"])
def test_a_body_that_ends_early_is_asked_for_again_and_nothing_arrives_twice(
    s3_server: S3Server, s3: S3Storage, big: Path, what: str
) -> None:
    s3_server.put(NAME, big.read_bytes())
    s3_server.faults += [Fault("GET", NAME, what, times=2)]
    assert read(s3) == big.read_bytes()
    assert len(s3_server.sent("GET", f"/{NAME}")) == 5


@pytest.mark.parametrize("verb", ["write", "upload"])
def test_a_creation_whose_answer_was_lost_is_no_conflict(s3_server: S3Server, s3: S3Storage, big: Path, verb: str) -> None:
    """It is tried again, and told that the name exists by now: made by ourselves."""
    s3_server.faults.append(Fault("PUT", f"/{NAME}", "lost", times=1) if verb == "write" else Fault("POST", "uploadId=", "lost", times=1))
    written = s3.write("a", b"1" if verb == "write" else big, if_generation=0)
    assert s3.list() == (written,)


def test_a_creation_that_somebody_else_won_is_a_conflict_also_with_the_same_content(s3_server: S3Server, s3: S3Storage) -> None:
    s3.write("other", b"1", if_generation=0)
    s3_server.faults.append(Fault("PUT", f"/{NAME}", "cut", times=1))

    def overtake() -> None:
        while not s3_server.sent("PUT", f"/{NAME}"):
            pass
        s3_server.put(NAME, b"1")

    overtaking = threading.Thread(target=overtake)
    overtaking.start()
    with pytest.raises(Conflict, match="somebody else"):
        s3.write("a", b"1", if_generation=0)
    overtaking.join()
    assert s3_server.objects[NAME].metadata == {}


def test_a_large_upload_that_somebody_overtook_is_a_conflict_and_leaves_no_parts(s3_server: S3Server, s3: S3Storage, big: Path) -> None:
    def overtake() -> None:
        while not s3_server.sent("PUT", "partNumber"):
            pass
        s3_server.put(NAME, b"other")

    overtaking = threading.Thread(target=overtake)
    overtaking.start()
    with pytest.raises(Conflict):
        s3.write("a", big, if_generation=0)
    overtaking.join()
    assert (s3_server.objects[NAME].content, s3_server.uploads) == (b"other", {})


def test_a_write_over_what_was_deleted_meanwhile_is_a_conflict(s3_server: S3Server, s3: S3Storage) -> None:
    generation = s3.write("a", b"1").generation
    s3_server.faults.append(Fault("PUT", NAME, "cut", times=1))

    def overtake() -> None:
        while not conditions(s3_server, "PUT")[2:]:
            pass
        del s3_server.objects[NAME]

    overtaking = threading.Thread(target=overtake)
    overtaking.start()
    with pytest.raises(Conflict, match="deleted meanwhile"):
        s3.write("a", b"2", generation)
    overtaking.join()


def test_a_name_written_anew_while_it_is_read_is_a_conflict(s3_server: S3Server, s3: S3Storage, big: Path) -> None:
    s3_server.put(NAME, big.read_bytes())

    class Overtaking(BytesIO):
        def write(self, piece: bytes) -> int:  # type: ignore[override]
            s3_server.put(NAME, b"new")
            return super().write(piece)

    with pytest.raises(Conflict, match="anew"):
        s3.read("a", Overtaking())


# What does not pass


@pytest.mark.parametrize("what", [503, "cut", "silent"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_failure_that_lasts_is_unavailable_and_names_bucket_and_host(s3_server: S3Server, big: Path, verb: str, what: int | str) -> None:
    s3_server.put(NAME, b"old")
    s3_server.faults += [Fault(method, "/tested", what) for method in ("GET", "HEAD", "POST", "PUT", "DELETE")]
    with pytest.raises(Unavailable, match=rf"s3://{BUCKET}/models/m/.*{s3_server.url}"):
        each_verb(S3Storage(BUCKET, "models/m/", deadline=0.3), big)[verb]()
    assert s3_server.objects[NAME].content == b"old"


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_at_the_address_is_unavailable(s3_server: S3Server, big: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=rf"s3://{BUCKET}/models/m/.*http://127\.0\.0\.1:9"):
        each_verb(S3Storage(BUCKET, "models/m/", deadline=0.3), big)[verb]()


RIGHTS = {"list": "s3:ListBucket", "read": "s3:GetObject", "write": "s3:PutObject", "upload": "s3:PutObject", "delete": "s3:DeleteObject"}


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_not_allowed_is_refused_with_the_right_that_lacks(s3_server: S3Server, s3: S3Storage, big: Path, verb: str) -> None:
    s3_server.put(NAME, b"old")
    s3_server.faults += [Fault(method, "/tested", 403) for method in ("GET", "POST", "PUT", "DELETE")]
    with pytest.raises(Refused, match=rf"needs {RIGHTS[verb]}.*as the test wants it"):
        each_verb(s3, big)[verb]()
    assert s3_server.objects[NAME].content == b"old"


def test_without_any_credentials_it_is_refused(s3_server: S3Server, s3: S3Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(Refused, match=rf"s3://{BUCKET}/models/m/: no valid S3 credentials .*AWS_ACCESS_KEY_ID"):
        s3.list()


@pytest.mark.parametrize(
    ("content", "endpoint"), [("[default\nkey", ""), ("[default]\nregion = eu-west-1\n", "nowhere"), (None, "http://")], ids=str
)
def test_a_configuration_that_makes_no_sense_is_refused(
    s3_server: S3Server, s3: S3Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, endpoint: str
) -> None:
    (tmp_path / "config").write_text(content or "")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with pytest.raises(Refused, match="the S3 configuration cannot be used"):
        s3.list()


def test_a_bucket_that_does_not_exist_is_refused(s3_server: S3Server) -> None:
    nowhere = S3Storage("nowhere")
    for ask in (nowhere.list, lambda: nowhere.write("a", b"1"), lambda: nowhere.read("a", BytesIO())):
        with pytest.raises(Refused, match="nowhere"):
            ask()


@pytest.mark.parametrize("size", [10, 3 * PIECE])
def test_a_file_that_changes_while_it_is_sent_does_not_arrive(
    s3_server: S3Server, s3: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (tmp_path / "file").write_bytes(b"a" * size)
    looked = s3._find

    def changes(name: str) -> object:
        (tmp_path / "file").write_bytes(b"b" * size)
        return looked(name)

    monkeypatch.setattr(s3, "_find", changes)
    with pytest.raises(Unavailable, match="the file was changed while it was sent"):
        s3.write("a", tmp_path / "file", if_generation=0)
    assert (s3_server.objects, s3_server.uploads) == ({}, {})


def test_any_other_refusal_of_the_service_is_refused(s3_server: S3Server, s3: S3Storage) -> None:
    s3_server.faults.append(Fault("GET", "prefix=", 400))
    with pytest.raises(Refused, match="as the test wants it"):
        s3.list()


def test_a_server_without_conditional_writes_is_refused(s3_server: S3Server, s3: S3Storage) -> None:
    s3_server.faults.append(Fault("PUT", NAME, 501))
    with pytest.raises(Refused, match="has no conditional writes"):
        s3.write("a", b"1", if_generation=0)


def test_content_damaged_on_its_way_down_is_unavailable(s3_server: S3Server, s3: S3Storage, big: Path) -> None:
    s3.write("a", big)
    s3_server.faults.append(Fault("GET", NAME, "damaged", times=1))
    with pytest.raises(Unavailable, match=r"damaged.*crc32c:.*crc32c:"):
        read(s3)


@pytest.mark.parametrize("failure", [403, 503, "cut"])
def test_no_sentence_has_a_key(
    s3_server: S3Server, big: Path, monkeypatch: pytest.MonkeyPatch, failure: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    s3_server.faults += [Fault(method, "/tested", failure) for method in ("GET", "HEAD", "POST", "PUT")]
    for verb in VERBS[:4]:
        with pytest.raises(TfcanaryError) as raised:
            each_verb(S3Storage(BUCKET, "models/m/", deadline=0.3), big)[verb]()
        assert "s3cr3t" not in f"{raised.value}{caplog.text}"


def test_without_its_client_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(Refused, match=re.escape("s3://bucket/x/: S3 needs its client: pip install 'tfcanary[s3]'")):
        open_storage("s3://bucket/x").list()


# Where it is asked


def test_a_file_holds_endpoint_credentials_and_addressing(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a pod mounts it from a Secret."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    lines = [f"endpoint_url = {s3_server.url}", "region = here", "aws_access_key_id = mounted", "aws_secret_access_key = secret"]
    (tmp_path / "config").write_text("\n".join(["[default]", *lines, "s3 =", "    addressing_style = path", ""]))
    monkeypatch.setattr("tfcanary.adapters.storage.s3.CONFIG", tmp_path / "config")
    S3Storage(BUCKET).write("a", b"1")
    assert s3_server.objects["a"].content == b"1"
    assert "Credential=mounted/" in s3_server.asked[0].headers["authorization"]
    assert "/here/s3/" in s3_server.asked[0].headers["authorization"]


def test_a_bucket_is_tried_by_the_doctor_and_is_as_before(s3_server: S3Server) -> None:
    s3_server.put("models/digits/1/saved_model.pb", b"1")
    probe.probe(f"s3://{BUCKET}/models")
    assert list(s3_server.objects) == ["models/digits/1/saved_model.pb"]
    assert {asked.method for asked in s3_server.asked} >= {"GET", "HEAD", "PUT", "DELETE"}


def test_the_client_is_imported_with_the_first_request() -> None:
    code = "import sys; from tfcanary.adapters.storage.s3 import S3Storage; S3Storage('bucket'); "
    code += "import json; print(json.dumps([name for name in sys.modules if name.startswith('botocore')]))"
    assert json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) == []
