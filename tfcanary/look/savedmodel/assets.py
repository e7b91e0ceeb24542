"""Checks that the files which the graph reads when it is loaded are in the model.

TensorFlow appends an asset's name to the model's path unchanged, so `../../../etc/passwd` loads without an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning
from tfcanary.look.savedmodel.reach import node_of

PATH_OPERATIONS = frozenset({"Const", "Placeholder", "PlaceholderWithDefault", "VariableV2", "Variable"})
"""Operations whose value a server replaces by the path of an asset."""


def check_assets(case: Case) -> Evidence:
    """Check that each asset is a file below assets/ and that a node of the graph takes its path."""
    count = len(case.facts.assets)
    return evidence(
        "assets", _problems(case), f"all {count} assets exist" if count else "the model has no assets", {"assets": float(count)}
    )


def _problems(case: Case) -> Iterator[Problem]:
    for asset in case.facts.assets:
        if _is_outside(asset.filename):
            yield failure(f"asset {quote(asset.filename)} is outside the model's assets")
        elif f"assets/{asset.filename}" not in case.tree.sizes:
            folder = any(name.startswith(f"assets/{asset.filename}/") for name in case.tree.sizes)
            yield failure(f"asset {quote(asset.filename)} is {'a directory' if folder else 'missing: the copy is incomplete'}")
        if node_of(asset.tensor) not in case.facts.nodes:
            yield failure(f"asset {quote(asset.filename)} is for the tensor {quote(asset.tensor)}, which is not in the graph")
        elif case.facts.nodes[node_of(asset.tensor)].op not in PATH_OPERATIONS:
            yield failure(f"asset {quote(asset.filename)} is for the tensor {quote(asset.tensor)}, which takes no file name")
    asset_files = {f"assets/{asset.filename}" for asset in case.facts.assets}
    if unused := sorted(name for name in case.tree.sizes if name.startswith("assets/") and name not in asset_files):
        others = f", and {len(unused) - 1} other files are not either" if unused[1:] else ""
        yield warning(f"{quote(unused[0])} is not read by the graph{others}")


def _is_outside(filename: str) -> bool:
    return not filename or filename.startswith("/") or "\\" in filename or any(part in ("", ".", "..") for part in filename.split("/"))
