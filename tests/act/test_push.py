"""A push is complete or not servable, and the same bytes are one push."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from tests.act.conftest import RUN, manifest_of
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tfcanary.act import ledger, push
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Blob


def names(world: World) -> list[str]:
    return [blob.name for blob in world.storage.list("digits/")]


def test_saved_model_pb_is_written_after_everything_else(world: World, pushed: ModelVersion) -> None:
    order = {blob.name: blob.generation for blob in world.storage.list(f"digits/{pushed.number}/")}
    assert max(order, key=order.__getitem__) == f"digits/{pushed.number}/saved_model.pb"


def test_pushing_the_same_bytes_twice_is_one_push(world: World, pushed: ModelVersion, model: Path) -> None:
    before = dict(world.storage.objects)
    assert push.push(world.platform(), model, manifest_of(model)) == pushed
    assert world.storage.objects == before


def test_other_bytes_get_the_next_number(world: World, pushed: ModelVersion, model: Path) -> None:
    (model / "saved_model.pb").write_bytes(b"another graph")
    assert push.push(world.platform(), model, manifest_of(model)).number == pushed.number + 1


def test_a_number_that_somebody_else_put_there_is_not_used(world: World, plan: Plan, model: Path) -> None:
    world.storage.write("digits/7/saved_model.pb", b"not ours")
    assert push.push(world.platform(), model, manifest_of(model)).number == 8


class Dies(Exception):
    """The process is killed."""


class DyingStorage(FakeStorage):
    """Dies at its n-th write."""

    def __init__(self, dies_at: int) -> None:
        super().__init__()
        self.left = dies_at

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Blob:
        self.left -= 1
        if self.left == 0:
            raise Dies(name)
        return super().write(name, content, if_generation)


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4, 5, 6])
def test_killed_at_any_write_and_run_again_it_ends_the_same(plan: Plan, model: Path, dies_at: int) -> None:
    world = World()
    world.storage = DyingStorage(dies_at)
    with pytest.raises(Dies):
        push.push(world.platform(), model, manifest_of(model))
    servable = any(name.endswith("saved_model.pb") for name in names(world))
    assert not servable or {"digits/1/variables/variables.index", "digits/1/saved_model.pb"} <= set(names(world))
    version = push.push(world.platform(), model, manifest_of(model))
    assert version.number == 1
    assert push.verify(world.platform(), version) == version


@pytest.mark.parametrize("what", ["is missing", "was added", "was overwritten"])
def test_bytes_that_change_after_the_push_are_named(world: World, pushed: ModelVersion, what: str) -> None:
    name = f"digits/{pushed.number}/variables/variables.index"
    if what == "is missing":
        world.storage.delete(name)
    else:
        world.storage.write(name if what == "was overwritten" else f"digits/{pushed.number}/extra", b"evil!")
    with pytest.raises(Refused, match=what):
        push.verify(world.platform(), pushed)


def test_bytes_that_change_on_the_way_are_not_sealed(world: World, model: Path) -> None:
    manifest = manifest_of(model)
    (model / "variables" / "variables.index").write_bytes(b"INDEX")
    with pytest.raises(Refused, match=r"variables\.index: the bucket holds other bytes"):
        push.push(world.platform(), model, manifest)


def test_a_version_that_was_never_pushed_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="version 9 was never pushed"):
        push.pushed(world.platform(), 9)


def test_retention_keeps_the_stable_the_kept_and_the_newer_versions(world: World, plan: Plan, model: Path) -> None:
    platform = world.platform()
    for i in range(4):
        (model / "saved_model.pb").write_bytes(f"graph {i}".encode())
        push.push(platform, model, manifest_of(model))
    versions = [push.pushed(platform, n) for n in (3, 4)]
    ledger.update(platform, lambda r: type(r)(model="digits", writer=r.writer, stable=versions[1], previous=(versions[0],)))
    world.processes.clear()
    push.retain(platform, keep=2)
    assert {name.split("/")[1] for name in names(world)} - {"versions"} == {"3", "4", "5"}


def test_bytes_that_retention_removed_get_a_new_number(world: World, model: Path) -> None:
    platform = world.platform()
    first = push.push(platform, model, manifest_of(model))
    for blob in world.storage.list(f"digits/{first.number}/"):
        world.storage.delete(blob.name)
    assert push.push(platform, model, manifest_of(model)).number == first.number + 1


class CountingStorage(FakeStorage):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.listed, self.read_names = 0, 0

    def list(self, prefix: str = "") -> tuple[Blob, ...]:
        self.listed += 1
        return super().list(prefix)

    def read(self, name: str, into: BinaryIO, generation: int | None = None) -> Blob:
        self.read_names += 1
        return super().read(name, into, generation)


def crowded(world: World, versions: int) -> CountingStorage:
    """A bucket with the claims of so many versions, whose files retention has removed."""
    world.storage = storage = CountingStorage()
    for number in range(1, versions + 1):
        digest = f"{number:064x}"
        claim = push.Claim(f"sha256:{digest}", (), (Blob("saved_model.pb", 1, 1, "crc32c:00000000"),))
        storage.write(f"digits/versions/{number}.sha256-{digest}", b"")
        storage.write(f"digits/versions/{number}.json", codec.dumps(claim).encode())
    return storage


def test_a_push_beside_500_versions_lists_three_times_and_reads_no_other_version_s_claim(world: World, model: Path) -> None:
    storage, manifest = crowded(world, 500), manifest_of(model)
    assert push.push(world.platform(), model, manifest).number == 501
    assert storage.listed == 3
    assert storage.read_names <= len(manifest.files) + 2
    storage.listed = 0
    assert push.push(world.platform(), model, manifest).number == 501
    assert storage.listed == 3


def test_a_claim_without_its_mark_is_read_and_found(world: World, model: Path) -> None:
    storage, manifest = crowded(world, 3), manifest_of(model)
    version = push.push(world.platform(), model, manifest)
    storage.delete(f"digits/versions/{version.number}{'.' + manifest.digest.replace(':', '-')}")
    assert push.push(world.platform(), model, manifest) == version


def test_a_mark_whose_number_became_another_digest_s_gives_nobody_that_number(world: World, model: Path) -> None:
    storage, manifest = crowded(world, 3), manifest_of(model)
    storage.write(f"digits/versions/2.{manifest.digest.replace(':', '-')}", b"")
    assert push.push(world.platform(), model, manifest).number == 4


def test_a_mark_comes_before_the_claim_and_sorts_after_it(world: World, pushed: ModelVersion) -> None:
    """A listing that arrives in pages never shows a claim without its mark."""
    order = {blob.name: blob.generation for blob in world.storage.list("digits/versions/")}
    claim, mark = sorted(order)
    assert claim.endswith(".json")
    assert mark.endswith(pushed.digest.replace(":", "-"))
    assert push.list_versions(world.platform()).candidates(pushed.digest) == [pushed.number]


def test_an_unreachable_bucket_changes_nothing(world: World, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> Blob:
        raise Unavailable("bucket does not answer")

    monkeypatch.setattr(world.storage, "write", unreachable)
    with pytest.raises(Unavailable):
        push.push(world.platform(), model, manifest_of(model))
    assert names(world) == []


def test_a_leftover_that_is_none_of_the_files_is_refused(world: World, model: Path) -> None:
    manifest = manifest_of(model)
    world.storage = DyingStorage(3)
    with pytest.raises(Dies):
        push.push(world.platform(), model, manifest)
    world.storage.write("digits/2/malware.so", b"!")
    with pytest.raises(Refused, match=r"malware\.so"):
        push.push(world.platform(), model, manifest)


def test_a_bucket_whose_numbers_are_used_up_is_refused_by_that_name(world: World, plan: Plan, model: Path) -> None:
    ledger.begin(world.platform(), plan, RUN)
    world.storage.write(f"digits/{2**53 - 1}/saved_model.pb", b"by hand")
    with pytest.raises(Refused, match=r"digits/9007199254740991: no version can follow it"):
        push.push(world.platform(), model, manifest_of(model))
