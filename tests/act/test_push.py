"""A push is complete or not servable, and the same bytes are one push."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.act.conftest import RUN, manifest_of
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tfcanary.act import ledger, push
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


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4, 5])
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


def test_an_unreachable_bucket_changes_nothing(world: World, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> Blob:
        raise Unavailable("bucket does not answer")

    monkeypatch.setattr(world.storage, "write", unreachable)
    with pytest.raises(Unavailable):
        push.push(world.platform(), model, manifest_of(model))
    assert names(world) == []


def test_a_leftover_that_is_none_of_the_files_is_refused(world: World, model: Path) -> None:
    manifest = manifest_of(model)
    world.storage = DyingStorage(2)
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
