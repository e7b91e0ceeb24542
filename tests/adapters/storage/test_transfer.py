"""Folders into and out of every storage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.storage.gcs_server import BUCKET, Fault, GcsServer
from tfcanary.adapters.storage.download import pull, push
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


def test_what_was_pushed_is_pulled(storage: Storage, model: Path, tmp_path: Path) -> None:
    push(storage, model, "7", NAMES)
    assert [blob.name for blob in storage.list()] == sorted(f"7/{name}" for name in NAMES)
    pull(storage, "7", tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == contents(model)


def test_a_push_takes_only_the_files_that_are_named(storage: Storage, model: Path) -> None:
    push(storage, model, "7/", NAMES[-2:])
    assert [blob.name for blob in storage.list()] == ["7/assets/words", "7/saved_model.pb"]


def test_progress_is_the_size_of_each_file(storage: Storage, model: Path, tmp_path: Path) -> None:
    up: list[int] = []
    down: list[int] = []
    push(storage, model, "7", NAMES, up.append)
    pull(storage, "7", tmp_path / "pulled", down.append)
    assert sorted(up) == sorted(down) == [100_000, 100_001, 100_002, 100_003, 100_004]
    assert up[-1] == 100_004


def test_pushing_twice_is_one_push(storage: Storage, model: Path) -> None:
    push(storage, model, "7", NAMES)
    first = storage.list()
    push(storage, model, "7", NAMES)
    assert storage.list() == first


def test_an_interrupted_push_is_continued(storage: Storage, model: Path) -> None:
    push(storage, model, "7", NAMES[:2])
    begun = storage.list()
    push(storage, model, "7", NAMES)
    assert set(begun) <= set(storage.list())
    assert len(storage.list()) == len(NAMES)


def test_other_content_is_never_overwritten(storage: Storage, model: Path) -> None:
    other = storage.write("7/saved_model.pb", b"somebody else's")
    with pytest.raises(Conflict, match=r"7/saved_model\.pb"):
        push(storage, model, "7", NAMES)
    assert other in storage.list()


def test_two_who_push_the_same_at_once_both_succeed(storage: Storage, model: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        for pushed in [pool.submit(push, storage, model, "7", NAMES) for _ in range(2)]:
            pushed.result()
    assert len(storage.list("7/")) == len(NAMES)


def test_the_last_name_arrives_after_all_others(server: GcsServer, gcs: GcsStorage, model: Path) -> None:
    push(gcs, model, "7", NAMES)
    generations = {name: stored.generation for name, stored in server.objects.items()}
    assert max(generations, key=lambda name: generations[name]) == "models/m/7/saved_model.pb"


def test_after_a_failure_the_last_name_does_not_arrive(server: GcsServer, gcs: GcsStorage, model: Path) -> None:
    """A server that sees no saved_model.pb does not load the version."""
    server.faults.append(Fault("POST", "/upload/", 403, times=1))
    with pytest.raises(Refused, match=r"storage\.objects\.create"):
        push(gcs, model, "7", NAMES)
    assert "models/m/7/saved_model.pb" not in server.objects


def test_a_push_never_overwrites_not_even_by_chance(server: GcsServer, gcs: GcsStorage, model: Path) -> None:
    push(gcs, model, "7", NAMES)
    assert [asked.query["ifGenerationMatch"] for asked in server.sent("POST", "/upload/")] == ["0"] * len(NAMES)


def test_a_pull_reads_the_generations_of_its_listing(server: GcsServer, gcs: GcsStorage, model: Path, tmp_path: Path) -> None:
    push(gcs, model, "7", NAMES)
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
    push(gcs, model, "7", NAMES)
    with pytest.raises(Conflict):
        pull(Overtaken(server), "7", tmp_path / "pulled")


def test_a_push_that_was_overtaken_overwrites_nothing(server: GcsServer, model: Path) -> None:
    with pytest.raises(Conflict):
        push(Overtaken(server), model, "7", NAMES)
    assert server.objects["models/m/7/saved_model.pb"].content == b"somebody else's"


def test_a_pull_that_fails_says_so(server: GcsServer, gcs: GcsStorage, model: Path, tmp_path: Path) -> None:
    push(gcs, model, "7", NAMES)
    server.faults.append(Fault("GET", "index?alt=media", "damaged"))
    with pytest.raises(Unavailable, match=r"variables/index.* damaged"):
        pull(gcs, "7", tmp_path / "pulled")


def test_pulling_a_folder_that_is_not_there_is_refused(storage: Storage, tmp_path: Path) -> None:
    storage.write("70/a", b"1")
    with pytest.raises(Refused, match="7"):
        pull(storage, "7", tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_pulling_again_writes_anew(storage: Storage, model: Path, tmp_path: Path) -> None:
    push(storage, model, "7", NAMES)
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


@pytest.mark.parametrize("name", ["../secret", "link", "linked/secret", "missing", "variables", "/etc/hostname"])
def test_a_push_reads_plain_files_below_its_folder_only(storage: Storage, model: Path, name: str) -> None:
    (model.parent / "secret").write_text("secret")
    (model / "link").symlink_to(model.parent / "secret")
    (model / "linked").symlink_to(model.parent)
    with pytest.raises(Refused, match=name.partition("/secret")[0]):
        push(storage, model, "7", [name, "saved_model.pb"])
    assert storage.list() == ()


def test_pulling_everything_needs_no_prefix(server: GcsServer, tmp_path: Path) -> None:
    server.put("a", b"1")
    server.put("b/c", b"2")
    pull(GcsStorage(BUCKET), "", tmp_path / "pulled")
    assert contents(tmp_path / "pulled") == {"a": b"1", "b/c": b"2"}


@pytest.mark.slow
def test_a_large_folder_needs_little_memory(emulated: str, tmp_path: Path) -> None:
    """600 MB, four files at once: a few pieces of each are held, never a file."""
    names = [f"shard-{number}" for number in range(4)]
    for name in names:
        with (tmp_path / name).open("wb") as file:
            for _ in range(150):
                file.write(os.urandom(1 << 20))
    ask = f"""if True:
        import resource
        from pathlib import Path
        from tfcanary.adapters.storage import open_storage
        from tfcanary.adapters.storage.download import pull, push
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        storage = open_storage("gs://{emulated}/m")
        storage.list()
        before = peak()
        push(storage, Path({str(tmp_path)!r}), "7", {names})
        pull(storage, "7", Path({str(tmp_path / "pulled")!r}))
        print(peak() - before)
    """
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", ask], check=True, capture_output=True, text=True)
    assert int(told.stdout) < 300
    assert all((tmp_path / "pulled" / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)
