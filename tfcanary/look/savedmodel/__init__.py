"""The static part of the gate: checks of a SavedModel's files that need neither TensorFlow nor a network.

No part of the model is executed, and hostile bytes end in a finding. The step `validate_savedmodel` calls `manifest` and
`check`; `tfcanary.look.trial` then runs the model.
"""

from __future__ import annotations

from pathlib import Path

from tfcanary.core.domain import Absence, Evidence, Look
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.checks import CHECKS, PARSE, TREE
from tfcanary.look.savedmodel.facts import SavedModelFacts, SignatureFact, TensorFact
from tfcanary.look.savedmodel.findings import evidence, failure
from tfcanary.look.savedmodel.known_operations import operation_list
from tfcanary.look.savedmodel.protobuf_walk import Unreadable
from tfcanary.look.savedmodel.reader import parse_model, read
from tfcanary.look.savedmodel.tree import MODEL, FileDigest, Manifest, Tree, list_files, manifest

__all__ = ["CHECKS", "FileDigest", "Manifest", "SavedModelFacts", "SignatureFact", "TensorFact", "check", "manifest", "read"]


def check(model: Path, plan: ValidationPlan, stable: Path | SavedModelFacts | None) -> Look:
    """Run every check of the candidate's files that does not execute the model.

    `stable` is the model that serves now, or its facts; None skips the checks that compare with it. Raises Refused where
    `model` has no SavedModel, the stable model cannot be read, or the plan names a TensorFlow whose operations are not listed.
    """
    operation_list(plan.tensorflow)
    tree = list_files(model)
    evidences = [TREE.with_remedy(_check_tree(tree))]
    if tree.oversize:
        ids = (PARSE.id, *(one.id for one in CHECKS))
        return Look("validate", tuple(evidences), tuple(Absence(one, "not checked: the files are too large to be read") for one in ids))
    path = stable if isinstance(stable, Path) else None
    stable = read(stable) if isinstance(stable, Path) else stable
    try:
        facts = parse_model(model)
    except Unreadable as error:
        reason = str(error) if str(error).startswith(MODEL) else f"{MODEL}: {error}"
        evidences.append(PARSE.with_remedy(evidence("parse", [failure(reason)], "")))
        return Look("validate", tuple(evidences), tuple(Absence(one.id, f"not checked: {MODEL} could not be read") for one in CHECKS))
    evidences.append(PARSE.with_remedy(_check_parse(facts)))
    case = Case(model, tree, facts, plan, stable, path)
    checks = [one for one in CHECKS if stable is not None or not one.needs_stable]
    absent = tuple(Absence(one.id, "no stable model to compare with") for one in CHECKS if one not in checks)
    evidences += [one.with_remedy(one.run(case)) for one in checks if one.run is not None]
    return Look("validate", tuple(evidences), absent)


def _check_tree(tree: Tree) -> Evidence:
    total = sum(tree.sizes.values())
    return evidence(
        "tree", tree.problems, f"{len(tree.sizes)} files, {total:,} bytes", {"files": float(len(tree.sizes)), "bytes": float(total)}
    )


def _check_parse(facts: SavedModelFacts) -> Evidence:
    problems = [] if facts.schema == 1 else [failure(f"SavedModel schema version {facts.schema}: only version 1 exists")]
    return evidence(
        "parse",
        problems,
        f"exported by {f'TensorFlow {facts.tensorflow_version}' if facts.tensorflow_version else 'an unknown version of TensorFlow'}",
        {"producer": float(facts.producer)},
    )
