"""The files of a SavedModel: which there may be, and the manifest that is the version's identity.

Only regular files with plain names pass: whatever a server, a copy to a bucket or another tool might read as
something else than the gate did is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel.findings import Problem, fails, shown, warns

FILES = 10_000
"""More files than any export has."""
DEPTH = 16
NAME_BYTES = 900
"""A bucket's names end at 1,024 bytes; the prefix needs some."""
GRAPH_BYTES = 2**31 - 1
"""TensorFlow cannot read a larger message."""
TOTAL_BYTES = 2**40
PIECE = 2**20

MODEL = "saved_model.pb"
INDEX = "variables/variables.index"
SHARD = re.compile(r"variables/variables\.data-(\d{5})-of-(\d{5})")
WARMUP = "assets.extra/tf_serving_warmup_requests"
KNOWN = re.compile(
    r"saved_model\.pb|fingerprint\.pb|keras_metadata\.pb|batching_params\.pbtxt|debug/saved_model_debug_info\.pb"
    r"|variables/variables\.(index|data-\d{5}-of-\d{5})|assets/.+|assets\.extra/(tf_serving_warmup_requests|tfcanary_reference\.profile)|_SUCCESS"
)
OTHERWISE = {
    "model.tflite": "a server with prefer_tflite_model would serve it in place of saved_model.pb",
    "assets.extra/saved_model_config.pb": "it overrides the server's session options",
}


PARTS = ("saved_model.", "variables/variables.", "fingerprint.pb", "keras_metadata.pb")
"""What the files of an export begin with: where some lie without the graph, a copy is not complete."""
PROGRAM = re.compile(r".*\.(so|dll|dylib|exe|py|pyc|sh|bat|jar|pkl|pickle|joblib)(\.\d+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file of the manifest."""

    name: str
    """Relative to the model, with `/`."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of a SavedModel, sorted by name, and one digest over all of them."""

    files: tuple[FileDigest, ...]
    digest: str
    """`sha256:` and the Merkle root: two models have the same one only if each file has the same name and bytes."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies in the directory of a model."""

    sizes: dict[str, int]
    """Regular files with sound names, by name."""
    problems: tuple[Problem, ...]


def manifest(model: Path) -> Manifest:
    """Hash every regular file, in pieces; what else lies there is for `check` to refuse and is never copied.

    Raises Refused where the path is missing, empty, no SavedModel, or has too many files to name them all.
    """
    tree = look(model)
    if not tree.sizes:
        raise Refused(f"{model}: has no regular file, so there is nothing to hash")
    if len(tree.sizes) >= FILES:
        raise Refused(f"{model}: has {FILES:,} files or more, which no SavedModel needs")
    try:
        files = tuple(FileDigest(name, size, _sha256(model / name, size)) for name, size in sorted(tree.sizes.items()))
    except OSError as error:
        raise Refused(f"{model}: cannot be read ({error})") from error
    return Manifest(files, "sha256:" + _root([_leaf(one) for one in files]).hex())


def look(model: Path) -> Tree:
    """List the directory without following a link. Raises Refused where there is no SavedModel at all."""
    try:
        entries = list(islice(_entries(model), FILES + 1)) if model.is_dir() else None
    except OSError as error:
        raise Refused(f"{model}: cannot be read ({error})") from error
    if entries is None:
        raise Refused(
            f"{model}: {'is a file, not a directory' if model.exists() else 'no such directory'}; a SavedModel is a directory with {MODEL}"
        )
    if not any(name.startswith(PARTS) for name, _ in entries):
        raise Refused(f"{model}: {_hint([name for name, _ in entries])}")
    sizes = {name: info.st_size for name, info in entries if stat.S_ISREG(info.st_mode) and _bad_name(name) is None}
    problems = [problem for name, info in entries if (problem := _problem(name, info))]
    return Tree(sizes, (*problems, *_excess(entries)))


def _entries(model: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below, directories too, breadth first so that the model's own files come first."""
    rows = [""]
    for prefix in rows:
        with os.scandir(model / prefix) as directory:
            for entry in directory:
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False) and name.count("/") < DEPTH:
                    rows.append(f"{name}/")
                yield name, entry.stat(follow_symlinks=False)


def _hint(names: list[str]) -> str:
    if not names:
        return f"is empty; a SavedModel is a directory with {MODEL}"
    inner = sorted(name.rpartition("/")[0] for name in names if name.endswith(f"/{MODEL}"))
    return f"has no {MODEL}, so it is no SavedModel" + (f"; did you mean {inner[0]!r} in it?" if inner else "")


def _bad_name(name: str) -> str | None:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    if len(encoded) > NAME_BYTES:
        return f"has more than {NAME_BYTES} bytes"
    if not name.isprintable() or "\\" in name:
        return "has characters that do not survive a copy to a bucket"
    if name.rpartition("/")[2].startswith("."):
        return "starts with a dot: hidden files are not copied by every tool"
    return None


def _problem(name: str, info: os.stat_result) -> Problem | None:
    if stat.S_ISLNK(info.st_mode):
        return fails(f"{shown(name)} is a link: what it points to can change after the gate")
    if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
        return fails(f"{shown(name)} is neither a file nor a directory")
    if wrong := _bad_name(name):
        return fails(f"the name {shown(name)} {wrong}")
    if name.count("/") >= DEPTH:
        return fails(f"{shown(name)} lies deeper than {DEPTH} directories")
    if stat.S_ISDIR(info.st_mode):
        return None
    if name == MODEL:
        return (
            fails(f"{MODEL} has {info.st_size:,} bytes; TensorFlow reads at most {GRAPH_BYTES:,}") if info.st_size > GRAPH_BYTES else None
        )
    if name.startswith("saved_model."):
        return fails(f"{shown(name)} beside or in place of {MODEL}: a server might read another model than the gate does")
    if reason := OTHERWISE.get(name):
        return fails(f"{shown(name)}: {reason}")
    if PROGRAM.fullmatch(name) and not name.startswith("assets/"):
        return fails(f"{shown(name)} is a program or can carry one: it is no part of a SavedModel")
    return None if KNOWN.fullmatch(name) else warns(f"{shown(name)} is no part of a SavedModel")


def _excess(entries: list[tuple[str, os.stat_result]]) -> Iterator[Problem]:
    if len(entries) > FILES:
        yield fails(f"more than {FILES:,} files")
    if (total := sum(info.st_size for _, info in entries if stat.S_ISREG(info.st_mode))) > TOTAL_BYTES:
        yield fails(f"{total:,} bytes in all; at most {TOTAL_BYTES:,}")


def _sha256(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    left = size
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            left -= len(piece)
    if left:
        raise Refused(f"{path}: changed while it was read; the model is still being written")
    return digest.hexdigest()


def _leaf(one: FileDigest) -> bytes:
    name = one.name.encode()
    return hashlib.sha256(b"\0" + len(name).to_bytes(4) + name + one.size.to_bytes(8) + bytes.fromhex(one.sha256)).digest()


def _root(row: list[bytes]) -> bytes:
    """The Merkle root (RFC 6962, section 2.1, the odd one passed upwards): leaves and inner nodes hash with different first bytes."""
    while len(row) > 1:
        pairs = [hashlib.sha256(b"\1" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        row = pairs + row[len(pairs) * 2 :]
    return row[0]
