"""The files of a SavedModel: the rules for their names, and the manifest whose digest is the version's identity.

Only regular files with plain names pass. A file that a server, a copy to a bucket or another tool could read in another way
than the gate is refused.
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
from tfcanary.look.savedmodel.findings import Problem, failure, quote, warning

FILES = 10_000
"""Largest number of files, more than any export has."""
DEPTH = 16
NAME_BYTES = 900
"""Largest number of bytes in a name: a bucket allows 1,024, and the prefix takes some of them."""
GRAPH_BYTES = 2**31 - 1
"""Largest message in bytes that TensorFlow can read."""
TOTAL_BYTES = 2**38
"""Largest number of bytes in all files of a model, 256 GiB: more than a server holds in memory, and few enough to be hashed in minutes."""
HOLES = 2**30
"""Number of bytes that the disk need not hold, 1 GiB: a sparse file costs nothing to write, and minutes to hash."""
PIECE = 2**20

MODEL = "saved_model.pb"
INDEX = "variables/variables.index"
SHARD = re.compile(r"variables/variables\.data-(\d{5})-of-(\d{5})")
WARMUP = "assets.extra/tf_serving_warmup_requests"
KNOWN = re.compile(
    r"saved_model\.pb|fingerprint\.pb|keras_metadata\.pb|batching_params\.pbtxt|debug/saved_model_debug_info\.pb"
    r"|variables/variables\.(index|data-\d{5}-of-\d{5})|assets/.+|assets\.extra/(tf_serving_warmup_requests|tfcanary_reference\.profile)|_SUCCESS"
)
FORBIDDEN = {
    "model.tflite": "a server with prefer_tflite_model would serve it in place of saved_model.pb",
    "assets.extra/saved_model_config.pb": "it overrides the server's session options",
}
"""Files that change what a server does, with the reason."""
PARTS = ("saved_model.", "variables/variables.", "fingerprint.pb", "keras_metadata.pb")
"""First characters of the names in an export: where such files exist without the graph, the copy is incomplete."""
PROGRAM = re.compile(r".*\.(so|dll|dylib|exe|py|pyc|sh|bat|jar|pkl|pickle|joblib)(\.\d+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file of the manifest."""

    name: str
    """Path of the file relative to the model's folder, with `/` as separator."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of a SavedModel, sorted by name, and one digest over all of them."""

    files: tuple[FileDigest, ...]
    digest: str
    """`sha256:` and the Merkle root in hexadecimal: equal for two models only where all names and bytes of files are equal."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The content of a model's directory: its regular files and the problems with the others."""

    sizes: dict[str, int]
    """Size in bytes of each regular file with a valid name."""
    problems: tuple[Problem, ...]
    oversize: str = ""
    """Why the files are too large to be read, with the file's name, its size and the limit; empty where they are not."""


def manifest(model: Path) -> Manifest:
    """Hash every regular file of a SavedModel; `check` refuses a model with anything else, which is never copied.

    Raises Refused where the path is missing, empty or no SavedModel, or has too many or too large files; no byte of them is read then.
    """
    tree = list_files(model)
    if tree.oversize:
        raise Refused(f"{model}: {tree.oversize}")
    if not tree.sizes:
        raise Refused(f"{model}: has no regular file, so there is nothing to hash")
    if len(tree.sizes) >= FILES:
        raise Refused(f"{model}: has {FILES:,} files or more, more than any SavedModel needs")
    try:
        files = tuple(FileDigest(name, size, _sha256(model / name, size)) for name, size in sorted(tree.sizes.items()))
    except OSError as error:
        raise Refused(f"{model}: cannot be read ({error})") from error
    return Manifest(files, "sha256:" + _root([_leaf(one) for one in files]).hex())


def list_files(model: Path) -> Tree:
    """List the directory of a model without following links. Raises Refused where there is no SavedModel at all."""
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
    sizes = {name: info.st_size for name, info in entries if stat.S_ISREG(info.st_mode) and _name_fault(name) is None}
    problems = [problem for name, info in entries if (problem := _problem(name, info))]
    if len(entries) > FILES:
        problems.append(failure(f"more than {FILES:,} files"))
    oversize = _oversize(model, {name: info for name, info in entries if stat.S_ISREG(info.st_mode)})
    return Tree(sizes, (*problems, *([failure(oversize)] if oversize else [])), oversize)


def _entries(model: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files and directories below the model, breadth first, so that the model's own files come first."""
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


def _name_fault(name: str) -> str | None:
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
        return failure(f"{quote(name)} is a link: what it points to can change after the gate")
    if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
        return failure(f"{quote(name)} is neither a file nor a directory")
    if fault := _name_fault(name):
        return failure(f"the name {quote(name)} {fault}")
    if name.count("/") >= DEPTH:
        return failure(f"{quote(name)} is deeper than {DEPTH} directories")
    if stat.S_ISDIR(info.st_mode):
        return None
    if name == MODEL:
        return (
            failure(f"{MODEL} has {info.st_size:,} bytes; TensorFlow reads at most {GRAPH_BYTES:,}") if info.st_size > GRAPH_BYTES else None
        )
    if name.startswith("saved_model."):
        return failure(f"{quote(name)} is beside or in place of {MODEL}: a server could read another model than the gate does")
    if reason := FORBIDDEN.get(name):
        return failure(f"{quote(name)}: {reason}")
    if PROGRAM.fullmatch(name) and not name.startswith("assets/"):
        return failure(f"{quote(name)} is a program or can hold one: it is no part of a SavedModel")
    return None if KNOWN.fullmatch(name) else warning(f"{quote(name)} is no part of a SavedModel")


def _oversize(model: Path, files: dict[str, os.stat_result]) -> str:
    """Why the files must not be read: too many bytes, or too many that no disk holds; empty where they may be read."""
    largest = max(files, key=lambda name: files[name].st_size, default="")
    if (total := sum(info.st_size for info in files.values())) > TOTAL_BYTES:
        return f"{quote(largest)} has {files[largest].st_size:,} bytes, and all files have {total:,}; at most {TOTAL_BYTES:,} are read"
    holes = {name: info.st_size - 512 * info.st_blocks for name, info in files.items()}
    # A file system that compresses, or that does not tell its blocks, has fewer blocks than bytes, too: only a hole makes a file sparse.
    if sum(hole for hole in holes.values() if hole > 0) > HOLES:
        widest = max(holes, key=lambda name: holes[name])
        if _has_hole(model / widest, files[widest].st_size):
            size, held = files[widest].st_size, 512 * files[widest].st_blocks
            return f"{quote(widest)} is sparse: it has {size:,} bytes, of which the disk holds {held:,}; at most {HOLES:,} may be missing"
    return ""


def _has_hole(path: Path, size: int) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            return os.lseek(file.fileno(), 0, os.SEEK_HOLE) < size
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error})") from error


def _sha256(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    left = size
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            left -= len(piece)
    if left:
        raise Refused(f"{path}: changed while it was read, so the model is still being written")
    return digest.hexdigest()


def _leaf(one: FileDigest) -> bytes:
    name = one.name.encode()
    return hashlib.sha256(b"\0" + len(name).to_bytes(4) + name + one.size.to_bytes(8) + bytes.fromhex(one.sha256)).digest()


def _root(row: list[bytes]) -> bytes:
    """The Merkle root of a row of leaves (RFC 6962, section 2.1, with an odd last node moved up unchanged)."""
    # Leaves and inner nodes begin with different bytes, so that one cannot stand for the other.
    while len(row) > 1:
        pairs = [hashlib.sha256(b"\1" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        row = pairs + row[len(pairs) * 2 :]
    return row[0]
