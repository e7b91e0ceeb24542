"""The same push into a real bucket over HTTP: claimed, complete, sealed, and verified by generation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.act.conftest import manifest_of
from tests.adapters.storage.conftest import emulated, emulator
from tests.fakes import World
from tfcanary.act import push
from tfcanary.adapters.storage import open_storage
from tfcanary.core.errors import Refused

__all__ = ["emulated", "emulator"]


@pytest.fixture
def bucket(world: World, emulated: str) -> World:
    """A world whose versions lie in a bucket."""
    world.storage = open_storage(f"gs://{emulated}/models")  # type: ignore[assignment]
    return world


def test_a_version_in_a_bucket_is_one_push_and_is_verified(bucket: World, model: Path) -> None:
    version = push.push(bucket.platform(), model, manifest_of(model))
    assert push.push(bucket.platform(), model, manifest_of(model)) == version
    assert push.verify(bucket.platform(), version) == version
    names = {blob.name.removeprefix("digits/") for blob in bucket.storage.list("digits/")}
    assert f"{version.number}/saved_model.pb" in names


def test_a_file_that_is_overwritten_in_the_bucket_is_noticed_even_with_the_same_bytes(bucket: World, model: Path) -> None:
    version = push.push(bucket.platform(), model, manifest_of(model))
    bucket.storage.write(f"digits/{version.number}/saved_model.pb", (model / "saved_model.pb").read_bytes())
    with pytest.raises(Refused, match=r"saved_model\.pb was overwritten"):
        push.verify(bucket.platform(), version)
