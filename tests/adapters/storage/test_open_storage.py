"""Which URIs name a storage, and what is said about those that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.storage.gcs_server import BUCKET, GcsServer
from tfcanary.adapters.storage import open_storage
from tfcanary.core.errors import Refused


def test_a_path_and_its_file_uri_are_the_same_storage(tmp_path: Path) -> None:
    root = tmp_path / "my models"
    written = open_storage(str(root)).write("7/a", b"1")
    assert open_storage(f"file://{tmp_path}/my%20models").list() == (written,)
    assert (root / "7" / "a").read_bytes() == b"1"


def test_a_relative_path_is_taken_from_where_the_process_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage("models")
    monkeypatch.chdir("/")
    storage.write("a", b"1")
    assert (tmp_path / "models" / "a").read_bytes() == b"1"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    open_storage("~/models").write("a", b"1")
    assert (tmp_path / "models" / "a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("uri", "name"),
    [("/models/m", "models/m/7/a"), ("/models/m/", "models/m/7/a"), ("", "7/a"), ("/", "7/a")],
)
def test_a_bucket_may_have_a_prefix(server: GcsServer, uri: str, name: str) -> None:
    open_storage(f"gs://{BUCKET}{uri}").write("7/a", b"1")
    assert list(server.objects) == [name]


def test_a_prefix_is_a_folder_not_the_beginning_of_a_name(server: GcsServer) -> None:
    server.put("models/m/7/a", b"1")
    server.put("models/mother/7/a", b"2")
    assert [blob.name for blob in open_storage(f"gs://{BUCKET}/models/m").list()] == ["7/a"]


@pytest.mark.parametrize("uri", ["oci://bucket/models", "https://host/models", "GS://bucket", "hdfs://host/models", "://x"])
def test_another_scheme_is_refused_by_name_with_the_known_forms(uri: str) -> None:
    with pytest.raises(Refused, match=r"is not supported; use a directory .* file:///.* gs://.* s3://") as refused:
        open_storage(uri)
    assert f"{uri.partition('://')[0]}://" in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        " ",
        "gs://",
        "gs:///models",
        "gs://-bucket",
        "gs://b?x/y",
        "gs://UPPER/x",
        "s3://",
        "s3:///models",
        "s3://UPPER/x",
        "file://host/models",
        "file://",
        "/a\0b",
    ],
)
def test_a_uri_that_names_no_place_is_refused_with_the_known_forms(uri: str) -> None:
    with pytest.raises(Refused, match=r"file:///.* gs://"):
        open_storage(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/../other", "gs://bucket/a//b", "gs://bucket/./a", "s3://bucket/../other"])
def test_a_prefix_that_could_lead_elsewhere_is_refused(uri: str) -> None:
    with pytest.raises(Refused, match="name"):
        open_storage(uri)


def test_opening_a_storage_imports_nothing_heavy() -> None:
    """The client takes half a second to import; a step that only uses a directory does not pay for it."""
    ask = "import sys; from tfcanary.adapters.storage import open_storage; open_storage('/tmp/x'); open_storage('gs://bucket/x'); open_storage('s3://bucket/x')\n"
    ask += "print([name for name in sys.modules if name.startswith(('google', 'requests', 'botocore'))])"
    assert subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout.strip() == "[]"
