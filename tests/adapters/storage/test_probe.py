"""The doctor's probe does all that a release does in a bucket, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.storage.gcs_server import BUCKET, Fault, GcsServer
from tests.fake_storage import FakeStorage
from tfcanary.adapters.storage import folder_of, probe
from tfcanary.core.errors import Refused, Unavailable


def test_a_directory_is_tried_and_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    probe.probe(str(tmp_path))
    probe.probe(f"file://{tmp_path}/")
    assert [one.name for one in tmp_path.iterdir()] == ["digits"]


def test_a_directory_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="none: is no directory on this machine; make it"):
        probe.probe(str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_or_none() -> None:
    assert folder_of("/srv/models") == Path("/srv/models")
    assert folder_of("file:///srv/a%20b") == Path("/srv/a b")
    assert folder_of("gs://bucket/prefix") is None


class Broken(FakeStorage):
    """Gives back what was never written, or keeps what was deleted."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.keeps = keeps

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> object:  # type: ignore[override]
        return super().write(name, content if self.keeps else b"else", if_generation)

    def delete(self, name: str, if_generation: int | None = None) -> None:
        if not self.keeps:
            super().delete(name, if_generation)


@pytest.mark.parametrize(("keeps", "said"), [(False, "the content that was read is not"), (True, "was deleted, and is still listed")])
def test_a_storage_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch, keeps: bool, said: str) -> None:
    broken = Broken(keeps)
    monkeypatch.setattr(probe, "open_storage", lambda uri: broken)
    with pytest.raises(Unavailable, match=said):
        probe.probe("gs://bucket/prefix")
    assert keeps or broken.objects == {}


def test_a_bucket_is_tried_and_is_as_before(server: GcsServer) -> None:
    server.put("models/digits/1/saved_model.pb", b"1")
    probe.probe(f"gs://{BUCKET}/models")
    assert list(server.objects) == ["models/digits/1/saved_model.pb"]
    assert {asked.method for asked in server.asked} >= {"GET", "POST", "DELETE"}


@pytest.mark.parametrize(
    ("method", "where", "right"),
    [
        ("GET", "prefix=", "storage.objects.list"),
        ("POST", "uploadType", "storage.objects.create"),
        ("DELETE", "", "storage.objects.delete"),
    ],
)
def test_each_right_that_is_missing_is_named(server: GcsServer, method: str, where: str, right: str) -> None:
    server.faults.append(Fault(method, where, 403))
    with pytest.raises(Refused, match=rf"not allowed; the account needs {right}"):
        probe.probe(f"gs://{BUCKET}/models")
