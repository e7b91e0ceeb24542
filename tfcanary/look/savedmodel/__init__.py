"""The gate before any traffic: what can be known of a SavedModel without running it.

Nothing here needs TensorFlow or a network, and nothing of the model is executed: hostile bytes end in a finding. The
step that validates calls `manifest` and `check`; whether the model also runs is asked by `tfcanary.look.trial`.
"""

from __future__ import annotations

from pathlib import Path

from tfcanary.core.domain import Absence, Evidence, Look
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.checks import CHECKS, PARSE, TREE
from tfcanary.look.savedmodel.facts import SavedModelFacts, SignatureFact, TensorFact
from tfcanary.look.savedmodel.findings import evidence, fails
from tfcanary.look.savedmodel.known_operations import known
from tfcanary.look.savedmodel.protobuf_walk import Unreadable
from tfcanary.look.savedmodel.reader import parse_model, read
from tfcanary.look.savedmodel.tree import MODEL, FileDigest, Manifest, Tree, look, manifest

__all__ = ["CHECKS", "FileDigest", "Manifest", "SavedModelFacts", "SignatureFact", "TensorFact", "check", "manifest", "read"]


def check(model: Path, plan: ValidationPlan, stable: Path | SavedModelFacts | None) -> Look:
    """Everything that can be asked of the candidate without running it.

    Raises Refused where there is no SavedModel, the stable one cannot be read, or the plan names a TensorFlow that is not known.
    """
    known(plan.tensorflow)
    tree = look(model)
    found = [TREE.advised(_check_tree(tree))]
    path = stable if isinstance(stable, Path) else None
    stable = read(stable) if isinstance(stable, Path) else stable
    try:
        facts = parse_model(model)
    except Unreadable as error:
        said = str(error) if str(error).startswith(MODEL) else f"{MODEL}: {error}"
        found.append(PARSE.advised(evidence("parse", [fails(said)], "")))
        return Look("validate", tuple(found), tuple(Absence(one.id, f"not asked: {MODEL} could not be read") for one in CHECKS))
    found.append(PARSE.advised(_check_parse(facts)))
    case = Case(model, tree, facts, plan, stable, path)
    asked = [one for one in CHECKS if one.ask is not None and (stable is not None or not one.needs_stable)]
    absent = tuple(Absence(one.id, "no stable model to compare with") for one in CHECKS if one.needs_stable and stable is None)
    return Look("validate", (*found, *(one.advised(one.ask(case)) for one in asked if one.ask is not None)), absent)


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
