"""Whether the files that the graph reads when it is loaded lie in the model.

TensorFlow joins an asset's name to the model's path as it is: `../../../etc/passwd` loads without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown, warns
from tfcanary.look.savedmodel.reach import node_of

FED = frozenset({"Const", "Placeholder", "PlaceholderWithDefault", "VariableV2", "Variable"})
"""What a server replaces by the path of an asset."""


def check_assets(case: Case) -> Evidence:
    """Each asset is a file below assets/, and a node of the graph takes its name."""
    count = len(case.facts.assets)
    return evidence(
        "assets", _problems(case), f"{count} assets, all there" if count else "the model has no assets", {"assets": float(count)}
    )


def _problems(case: Case) -> Iterator[Problem]:
    for asset in case.facts.assets:
        if _leaves(asset.filename):
            yield fails(f"asset {shown(asset.filename)} lies outside the model's assets")
        elif f"assets/{asset.filename}" not in case.tree.sizes:
            folder = any(name.startswith(f"assets/{asset.filename}/") for name in case.tree.sizes)
            yield fails(f"asset {shown(asset.filename)} is {'a directory' if folder else 'missing: the copy is not complete'}")
        if node_of(asset.tensor) not in case.facts.nodes:
            yield fails(f"asset {shown(asset.filename)} is for the tensor {shown(asset.tensor)}, which is not in the graph")
        elif case.facts.nodes[node_of(asset.tensor)].op not in FED:
            yield fails(f"asset {shown(asset.filename)} is for the tensor {shown(asset.tensor)}, which takes no file name")
    named = {f"assets/{asset.filename}" for asset in case.facts.assets}
    if spare := sorted(name for name in case.tree.sizes if name.startswith("assets/") and name not in named):
        yield warns(f"{shown(spare[0])} is read by nothing in the graph" + (f", nor are {len(spare) - 1} other files" if spare[1:] else ""))


def _leaves(filename: str) -> bool:
    return not filename or filename.startswith("/") or "\\" in filename or any(part in ("", ".", "..") for part in filename.split("/"))
