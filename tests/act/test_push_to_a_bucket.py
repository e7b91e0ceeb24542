"""A push into every kind of storage there is: claimed, complete, sealed, and verified by generation."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.act.conftest import manifest_of
from tests.adapters.storage import gcs_server
from tests.adapters.storage.conftest import at_moto, emulated, emulator, gcs, moto, s3, s3_server, server, storage
from tests.adapters.storage.gcs_server import BUCKET, Fault, GcsServer
from tests.fakes import World
from tfcanary.act import push
from tfcanary.adapters.storage.download import pull
from tfcanary.adapters.storage.gcs import GcsStorage
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Blob, Storage
from tfcanary.look.savedmodel import FileDigest, Manifest

__all__ = ["at_moto", "emulated", "emulator", "gcs", "moto", "s3", "s3_server", "server", "storage"]

FIRST = 2
"""The number that the first push gets: the world's stable version is 1."""


@pytest.fixture
def bucket(world: World, storage: Storage) -> World:
    """A world whose versions lie in a real storage."""
    world.storage = storage  # type: ignore[assignment]
    return world


@pytest.fixture
def at_google(world: World, gcs: GcsStorage) -> World:
    """A world whose versions lie in a server that records requests and fails on demand."""
    world.storage = gcs  # type: ignore[assignment]
    return world


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_version_in_a_bucket_is_one_push_and_is_verified(bucket: World, model: Path) -> None:
    version = push.push(bucket.platform(), model, manifest_of(model))
    before = bucket.storage.list()
    assert push.push(bucket.platform(), model, manifest_of(model)) == version
    assert bucket.storage.list() == before
    assert push.verify(bucket.platform(), version) == version
    names = {blob.name.removeprefix("digits/") for blob in bucket.storage.list("digits/")}
    assert f"{version.number}/saved_model.pb" in names


def test_what_was_pushed_is_pulled_and_nothing_else(bucket: World, model: Path, tmp_path: Path) -> None:
    manifest = manifest_of(model)
    (model / "notes").write_text("not part of the model")
    version = push.push(bucket.platform(), model, manifest)
    pull(bucket.storage, f"digits/{version.number}", tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == {name: content for name, content in contents(model).items() if name != "notes"}


def test_progress_is_each_byte_twice_once_copied_and_once_read_back(bucket: World, model: Path) -> None:
    (model / "variables/variables.data-00000-of-00001").write_bytes(os.urandom(3_000_000))
    counts: list[int] = []
    push.push(bucket.platform(), model, manifest_of(model), counts.append)
    assert sum(counts) == 2 * sum(one.size for one in manifest_of(model).files)


def test_a_push_that_was_interrupted_is_continued(bucket: World, model: Path) -> None:
    manifest = manifest_of(model)
    name = f"digits/{FIRST}/variables/variables.index"
    there = bucket.storage.write(name, model / "variables/variables.index")
    version = push.push(bucket.platform(), model, manifest, number=FIRST)
    assert there in bucket.storage.list(name)
    assert len(bucket.storage.list(f"digits/{version.number}/")) == len(manifest.files)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_other_content_is_never_overwritten(bucket: World, model: Path, name: str) -> None:
    other = bucket.storage.write(f"digits/{FIRST}/{name}", b"somebody else's")
    with pytest.raises(Refused, match=f"{name}: the bucket holds other bytes"):
        push.push(bucket.platform(), model, manifest_of(model), number=FIRST)
    assert other in bucket.storage.list()


def test_two_who_push_the_same_at_once_both_succeed(bucket: World, model: Path) -> None:
    manifest = manifest_of(model)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: push.push(bucket.platform(), model, manifest), range(2))
    assert first == second
    assert len(bucket.storage.list(f"digits/{first.number}/")) == len(manifest.files)


def test_a_file_that_is_overwritten_in_the_bucket_is_noticed_even_with_the_same_bytes(bucket: World, model: Path) -> None:
    version = push.push(bucket.platform(), model, manifest_of(model))
    bucket.storage.write(f"digits/{version.number}/saved_model.pb", (model / "saved_model.pb").read_bytes())
    with pytest.raises(Refused, match=r"saved_model\.pb was overwritten"):
        push.verify(bucket.platform(), version)


@pytest.mark.parametrize("name", ["../secret", "link", "missing", "variables", "/etc/hostname"])
def test_a_push_reads_plain_files_below_its_folder_only(bucket: World, model: Path, name: str) -> None:
    (model.parent / "secret").write_text("secret")
    (model / "link").symlink_to(model.parent / "secret")
    forged = Manifest((FileDigest(name, 6, "0" * 64), *manifest_of(model).files), "sha256:forged")
    with pytest.raises(Refused, match=name.removeprefix("../")):
        push.push(bucket.platform(), model, forged)
    stored = {blob.name for blob in bucket.storage.list(f"digits/{FIRST}/")}
    assert not any(one.endswith(("secret", "link", "hostname", "saved_model.pb")) for one in stored)


def test_the_graph_arrives_after_all_other_files(at_google: World, server: GcsServer, model: Path) -> None:
    push.push(at_google.platform(), model, manifest_of(model))
    generations = {name: stored.generation for name, stored in server.objects.items() if "/versions/" not in name}
    assert max(generations, key=lambda name: generations[name]).endswith("/saved_model.pb")


def test_after_a_failure_the_graph_does_not_arrive(at_google: World, server: GcsServer, model: Path) -> None:
    """A server that sees no saved_model.pb does not load the version."""
    server.faults.append(Fault("POST", f"digits/{FIRST}/variables/", 403, times=1))
    with pytest.raises(Refused, match=r"storage\.objects\.create"):
        push.push(at_google.platform(), model, manifest_of(model))
    assert not any(name.endswith("saved_model.pb") for name in server.objects)


def test_who_may_not_write_is_refused_and_does_not_ask_for_ever(at_google: World, server: GcsServer, model: Path) -> None:
    server.faults.append(Fault("POST", "/upload/", 403))
    with pytest.raises(Refused, match=r"storage\.objects\.create"):
        push.push(at_google.platform(), model, manifest_of(model))
    assert len(server.sent("POST", "/upload/")) == 1


def test_no_file_of_a_version_overwrites_another_not_even_by_chance(at_google: World, server: GcsServer, model: Path) -> None:
    push.push(at_google.platform(), model, manifest_of(model))
    files = [one for one in server.sent("POST", "/upload/") if b"/versions/" not in one.body]
    assert [one.query["ifGenerationMatch"] for one in files] == ["0"] * 3


class Overtaken(GcsStorage):
    """Somebody writes `saved_model.pb` right after each listing."""

    def __init__(self, server: GcsServer) -> None:
        super().__init__(BUCKET, "models/m/")
        self.server = server

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        found = super().list(prefix)
        self.server.put(f"models/m/digits/{FIRST}/saved_model.pb", b"somebody else's")
        return found


def test_a_push_that_was_overtaken_overwrites_nothing(world: World, server: GcsServer, model: Path) -> None:
    world.storage = Overtaken(server)  # type: ignore[assignment]
    with pytest.raises(Refused, match=r"saved_model\.pb: the bucket holds other bytes"):
        push.push(world.platform(), model, manifest_of(model), number=FIRST)
    assert server.objects[f"models/m/digits/{FIRST}/saved_model.pb"].content == b"somebody else's"


def test_a_push_beside_500_versions_asks_the_bucket_a_few_times(
    at_google: World, server: GcsServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs_server, "PAGE", 1000)
    for number in range(3, 503):
        server.put(f"models/m/digits/versions/{number}.sha256-{number:064x}", b"")
        server.put(f"models/m/digits/versions/{number}.json", b"{}")
    manifest = manifest_of(model)
    assert push.push(at_google.platform(), model, manifest).number == 503
    listings = [one for one in server.asked if one.method == "GET" and "prefix" in one.query]
    assert len(listings) == 3
    assert not [one for one in server.sent("GET", "alt=media") if "/versions/" in one.path and "503" not in one.path]
