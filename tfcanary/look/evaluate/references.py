"""Reads the reference of a drift comparison: a profile from a file, from inside a SavedModel, or counted from data.

A model can carry its own reference in `assets.extra/`, which a server does not load. Such a profile travels with the model and is
covered by its digest, so that it always belongs to this model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfcanary.core.errors import Refused
from tfcanary.decide import drift
from tfcanary.decide.drift import Layout, Profile
from tfcanary.decide.drift.profile_bytes import MARK
from tfcanary.look.evaluate import sources

PATH_IN_MODEL = Path("assets.extra", "tfcanary_reference.profile")
"""Path of the reference inside a SavedModel."""
KIND = MARK.rpartition(b" ")[0]
"""First bytes of a profile of any version."""
LARGEST = 256 << 20
"""Largest stored profile in bytes."""


def read_stored(path: Path) -> Profile | None:
    """Read the profile in a file or in a SavedModel; None where the path is data. Raises Refused where it is damaged or missing."""
    if (path / "saved_model.pb").is_file():
        inside = path / PATH_IN_MODEL
        if not inside.is_file():
            raise Refused(f"{path}: the model carries no reference; `tfcanary profile DATA --into {path}` writes one into it")
        return _read(inside)
    if path.is_file():
        with path.open("rb") as file:
            is_profile = file.read(len(MARK)).startswith(KIND)
        return _read(path) if is_profile else None
    return None


def read_from_model(model: Path) -> Profile | None:
    """Read the reference that a SavedModel carries; None where it carries none. Raises Refused where it is damaged."""
    return _read(model / PATH_IN_MODEL) if (model / PATH_IN_MODEL).is_file() else None


def write_into_model(profile: Profile, model: Path) -> Path:
    """Write a profile into a SavedModel and return the path of the file. Raises Refused where the folder is no SavedModel."""
    if not (model / "saved_model.pb").is_file():
        raise Refused(f"{model}: holds no saved_model.pb; a profile can only be written into a SavedModel")
    path = model / PATH_IN_MODEL
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(drift.to_bytes(profile))
    return path


def read_or_count(
    path: Path,
    like: Layout | None = None,
    entity: str = "",
    chosen: sources.Selection = sources.Selection(),  # noqa: B008  a frozen value
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """The profile at a path: a stored profile is read, and data is counted in the layout `like`, or in one chosen from the data.

    Raises Refused where the path cannot be read.
    """
    return read_stored(path) or sources.count(sources.pieces(path), like, entity, chosen, progress)


def counted_otherwise(profile: Profile, entity: str) -> str:
    """Return why a profile cannot be compared by an entity, and what to do; empty where it can, or where no entity is asked for."""
    if not entity or profile.entity == entity:
        return ""
    counted = f"with the entity {profile.entity!r}" if profile.entity else "without an entity"
    return f"the profile was counted {counted}; count it again with --entity {entity}"


def _read(path: Path) -> Profile:
    if path.stat().st_size > LARGEST:
        raise Refused(f"{path}: {path.stat().st_size} bytes; a profile has at most {LARGEST}")
    try:
        return drift.from_bytes(path.read_bytes())
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
