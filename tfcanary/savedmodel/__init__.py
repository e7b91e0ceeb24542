"""The gate before any traffic: what can be known of a SavedModel without running it.

Nothing here needs TensorFlow or a network, and nothing of the model is executed: hostile bytes end in a finding. The
step that validates calls `manifest` and `check`; whether the model also runs is asked by `tfcanary.trial`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfcanary.domain import Absence, Evidence, Look
from tfcanary.plan import ValidationPlan
from tfcanary.savedmodel.assets import check_assets
from tfcanary.savedmodel.case import Case
from tfcanary.savedmodel.compatible import check_compatible
from tfcanary.savedmodel.facts import SavedModelFacts, SignatureFact, TensorFact
from tfcanary.savedmodel.findings import evidence, fails
from tfcanary.savedmodel.keras import check_keras
from tfcanary.savedmodel.operations import check_operations
from tfcanary.savedmodel.placement import check_constants, check_devices
from tfcanary.savedmodel.reader import parse_model, read
from tfcanary.savedmodel.signature import check_signature
from tfcanary.savedmodel.tree import MODEL, FileDigest, Manifest, Tree, look, manifest
from tfcanary.savedmodel.variables import check_variables
from tfcanary.savedmodel.walk import Unreadable
from tfcanary.savedmodel.warmup import check_warmup

__all__ = ["FileDigest", "Manifest", "SavedModelFacts", "SignatureFact", "TensorFact", "check", "manifest", "read"]

CHECKS: dict[str, Callable[[Case], Evidence]] = {
    "signature": check_signature,
    "compatible": check_compatible,
    "variables": check_variables,
    "operations": check_operations,
    "assets": check_assets,
    "constants": check_constants,
    "devices": check_devices,
    "warmup": check_warmup,
    "keras": check_keras,
}
"""Every question to a SavedModel that could be read, in the order of the report."""


def check(model: Path, plan: ValidationPlan, stable: Path | SavedModelFacts | None) -> Look:
    """Everything that can be asked of the candidate without running it. Raises Refused where there is no SavedModel, or the stable one cannot be read."""
    tree = look(model)
    stable = read(stable) if isinstance(stable, Path) else stable
    found = [_check_tree(tree)]
    try:
        facts = parse_model(model)
    except Unreadable as error:
        found.append(evidence("parse", [fails(str(error))], ""))
        return Look(
            "validate", tuple(found), tuple(Absence(f"savedmodel/{about}", f"not asked: {MODEL} could not be read") for about in CHECKS)
        )
    found.append(_check_parse(facts))
    case = Case(model, tree, facts, plan, stable)
    asked = [name for name in CHECKS if name != "compatible" or stable is not None]
    absent = () if stable is not None else (Absence("savedmodel/compatible", "no stable model to compare with"),)
    return Look("validate", (*found, *(CHECKS[name](case) for name in asked)), absent)


def _check_tree(tree: Tree) -> Evidence:
    total = sum(tree.sizes.values())
    return evidence(
        "tree", tree.problems, f"{len(tree.sizes)} files, {total:,} bytes", {"files": float(len(tree.sizes)), "bytes": float(total)}
    )


def _check_parse(facts: SavedModelFacts) -> Evidence:
    problems = [] if facts.schema == 1 else [fails(f"SavedModel schema version {facts.schema}: 1 is the only one there is")]
    return evidence(
        "parse", problems, f"exported by TensorFlow {facts.tensorflow_version or 'of unknown version'}", {"producer": float(facts.producer)}
    )
