"""Folders out of every storage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.storage.gcs_server import BUCKET, Fault, GcsServer
from tests.adapters.storage.verbs import store
from tfcanary.adapters.storage.download import pull
from tfcanary.adapters.storage.gcs import GcsStorage
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.ports import Blob, Storage

NAMES = ["variables/data-0", "variables/data-1", "variables/index", "assets/words", "saved_model.pb"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with the files of a model; each has content of its own."""
    folder = tmp_path / "model"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(100_000 + number))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_stored_is_pulled(storage: Storage, model: Path, tmp_path: Path) -> None:
    store(storage, model, "7", NAMES)
    assert [blob.name for blob in storage.list()] == sorted(f"7/{name}" for name in NAMES)
    pull(storage, "7", tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == contents(model)


def test_a_pull_reads_the_generations_of_its_listing(server: GcsServer, gcs: GcsStorage, model: Path, tmp_path: Path) -> None:
    store(gcs, model, "7", NAMES)
    pull(gcs, "7", tmp_path / "pulled")
    asked = {(a.path.rpartition("/")[2], a.query["generation"]) for a in server.sent("GET", "'alt': 'media'")}
    assert asked == {(name.replace("/", "%2F"), str(stored.generation)) for name, stored in server.objects.items()}


class Overtaken(GcsStorage):
    """Somebody writes `saved_model.pb` right after each listing."""

    def __init__(self, server: GcsServer) -> None:
        super().__init__(BUCKET, "models/m/")
        self.server = server

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        found = super().list(prefix)
        self.server.put("models/m/7/saved_model.pb", b"somebody else's")
        return found


def test_a_pull_that_was_overtaken_is_a_conflict(server: GcsServer, gcs: GcsStorage, model: Path, tmp_path: Path) -> None:
    store(gcs, model, "7", NAMES)
    with pytest.raises(Conflict):
        pull(Overtaken(server), "7", tmp_path / "pulled")


def test_a_pull_that_fails_says_so(server: GcsServer, gcs: GcsStorage, model: Path, tmp_path: Path) -> None:
    store(gcs, model, "7", NAMES)
    server.faults.append(Fault("GET", "index?alt=media", "damaged"))
    with pytest.raises(Unavailable, match=r"variables/index.* damaged"):
        pull(gcs, "7", tmp_path / "pulled")


def test_pulling_a_folder_that_is_not_there_is_refused(storage: Storage, tmp_path: Path) -> None:
    storage.write("70/a", b"1")
    with pytest.raises(Refused, match="7"):
        pull(storage, "7", tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_pulling_again_writes_anew(storage: Storage, model: Path, tmp_path: Path) -> None:
    store(storage, model, "7", NAMES)
    pull(storage, "7", tmp_path / "pulled")
    (tmp_path / "pulled" / "saved_model.pb").write_bytes(b"x" * 200_000)
    pull(storage, "7", tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == contents(model)


@pytest.mark.parametrize("name", ["7/../../escaped", "7//etc/escaped", "7/a/./escaped"])
def test_a_name_in_a_bucket_cannot_lead_out_of_the_folder(server: GcsServer, gcs: GcsStorage, tmp_path: Path, name: str) -> None:
    server.put("models/m/7/a", b"1")
    server.put(f"models/m/{name}", b"evil")
    with pytest.raises(Refused, match="escaped"):
        pull(gcs, "7", tmp_path / "pulled")
    assert list(tmp_path.iterdir()) == []


def test_a_pull_does_not_write_through_links(storage: Storage, tmp_path: Path) -> None:
    storage.write("7/saved_model.pb", b"new")
    (tmp_path / "pulled").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "pulled" / "saved_model.pb").symlink_to(tmp_path / "precious")
    with pytest.raises(Refused, match="link"):
        pull(storage, "7", tmp_path / "pulled")
    assert (tmp_path / "precious").read_text() == "precious"


def test_pulling_everything_needs_no_prefix(server: GcsServer, tmp_path: Path) -> None:
    server.put("a", b"1")
    server.put("b/c", b"2")
    pull(GcsStorage(BUCKET), "", tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == {"a": b"1", "b/c": b"2"}


@pytest.mark.slow
def test_a_large_folder_needs_little_memory(emulated: str, tmp_path: Path) -> None:
    """600 MB, four files at once: a few pieces of each are held, never a file."""
    names = [f"shard-{number}" for number in range(4)]
    (tmp_path / "shards").mkdir()
    for name in names:
        with (tmp_path / "shards" / name).open("wb") as file:
            for _ in range(150):
                file.write(os.urandom(1 << 20))
    ask = f"""if True:
        import resource
        from pathlib import Path
        from tfcanary.adapters.storage import open_storage
        from concurrent.futures import ThreadPoolExecutor
        from tfcanary.adapters.storage.download import pull
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        storage = open_storage("gs://{emulated}/m")
        storage.list()
        before = peak()
        source = Path({str(tmp_path / "shards")!r})
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda one: storage.write("7/" + one.name, one), source.iterdir()))
        pull(storage, "7", Path({str(tmp_path / "pulled")!r}))
        print(peak() - before)
    """
    measured = subprocess.run([sys.executable, "-W", "ignore", "-c", ask], check=True, capture_output=True, text=True)
    assert int(measured.stdout) < 300
    assert all((tmp_path / "pulled" / name).read_bytes() == (tmp_path / "shards" / name).read_bytes() for name in names)
