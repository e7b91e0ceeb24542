"""What should be: a profile from a file, from inside a SavedModel, or counted from data.

A model brings its own reference: `assets.extra/` is no part of what a server loads, so a profile in there travels with the model, is
covered by its digest, and can never be the wrong one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfcanary.core.errors import Refused
from tfcanary.decide import drift
from tfcanary.decide.drift import Layout, Profile
from tfcanary.decide.drift.profile_bytes import MARK
from tfcanary.look.evaluate import sources

CARRIED = Path("assets.extra", "tfcanary_reference.profile")
"""Where a SavedModel carries its reference."""
KIND = MARK.rpartition(b" ")[0]
"""How a profile of any version begins."""
LARGEST = 256 << 20
"""Bytes of a stored profile."""


def stored(path: Path) -> Profile | None:
    """The profile in a file or in a SavedModel; None where it is data. Raises Refused where it is damaged, or a model has none."""
    if (path / "saved_model.pb").is_file():
        carried = path / CARRIED
        if not carried.is_file():
            raise Refused(f"{path}: the model carries no reference; `tfcanary profile DATA --into {path}` writes one into it")
        return _read(carried)
    if path.is_file() and _begins(path):
        return _read(path)
    return None


def carried_by(model: Path) -> Profile | None:
    """The reference that a model carries, if it does."""
    return _read(model / CARRIED) if (model / CARRIED).is_file() else None


def carry(profile: Profile, model: Path) -> Path:
    """Write a profile into a SavedModel; returns the file. Raises Refused where the folder holds none."""
    if not (model / "saved_model.pb").is_file():
        raise Refused(f"{model}: holds no saved_model.pb; a profile travels inside a SavedModel only")
    path = model / CARRIED
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(drift.to_bytes(profile))
    return path


def counted(
    path: Path,
    like: Layout | None = None,
    entity: str = "",
    chosen: sources.Selection = sources.Selection(),  # noqa: B008  a frozen value
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """The profile of whatever lies there: a stored one as it is, data counted in the layout of another profile."""
    return stored(path) or sources.count(sources.pieces(path), like, entity, chosen, progress)


def _begins(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARK)).startswith(KIND)


def _read(path: Path) -> Profile:
    if path.stat().st_size > LARGEST:
        raise Refused(f"{path}: {path.stat().st_size} bytes; at most {LARGEST} are read of a profile")
    try:
        return drift.from_bytes(path.read_bytes())
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
