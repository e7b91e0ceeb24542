"""The table of static checks: what the gate checks in a SavedModel without running it, in the order of the report.

`python -m tfcanary.look.trial.check_table` writes the table into docs/gate.md. The id of a check never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tfcanary.core.domain import Evidence, Finding
from tfcanary.look.savedmodel.assets import check_assets
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.compatible import check_compatible
from tfcanary.look.savedmodel.fingerprint import check_fingerprint
from tfcanary.look.savedmodel.graph import check_graph
from tfcanary.look.savedmodel.keras import check_keras
from tfcanary.look.savedmodel.known_operations import check_registry, check_versions
from tfcanary.look.savedmodel.operations import check_operations
from tfcanary.look.savedmodel.placement import check_constants, check_devices
from tfcanary.look.savedmodel.signature import check_signature
from tfcanary.look.savedmodel.size import check_size
from tfcanary.look.savedmodel.variables import check_variables
from tfcanary.look.savedmodel.warmup_requests import check_warmup

COPY_AGAIN = "Copy the export again, and compare sizes and checksums with those of the original."


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its question, the worst finding that it can have, and what to do about it."""

    id: str
    severity: Finding
    question: str
    remedy: str
    run: Callable[[Case], Evidence] | None = None
    """The function that answers the question; None where the check needs no readable model, or runs the model."""
    needs_stable: bool = False

    def with_remedy(self, evidence: Evidence) -> Evidence:
        """The evidence, with the remedy appended to its reason where the finding is not `pass`."""
        if evidence.finding is Finding.PASS:
            return evidence
        return replace(evidence, reason=f"{evidence.reason.removesuffix('.')}. {self.remedy}")


TREE = Check(
    "savedmodel/tree",
    Finding.FAIL,
    "Does the folder hold only the regular files with plain names that a SavedModel has?",
    "Export into an empty directory and copy regular files only.",
)
PARSE = Check("savedmodel/parse", Finding.FAIL, "Can the graph for serving be read?", f"Export it with the tag `serve`. {COPY_AGAIN}")
CHECKS: tuple[Check, ...] = (
    Check(
        "savedmodel/versions",
        Finding.FAIL,
        "Can the TensorFlow of the serving image read a graph of this version?",
        "Export with the TensorFlow of the serving image, or name the image's version in the plan (validation.tensorflow).",
        check_versions,
    ),
    Check(
        "savedmodel/registry",
        Finding.FAIL,
        "Does the serving image's TensorFlow have every operation and attribute of the graph?",
        "Use other layers, or serve with an image that has the operation and declare it in the plan (validation.operations).",
        check_registry,
    ),
    Check(
        "savedmodel/graph",
        Finding.FAIL,
        "Does every name that a node, a function or the server's start refers to exist, and is the graph free of cycles?",
        "Export again; correct a graph that was edited by hand where it was edited.",
        check_graph,
    ),
    Check(
        "savedmodel/signature",
        Finding.FAIL,
        "Can the model be called: does the plan's signature exist, with tensors of the declared types?",
        "Export with `signatures=...`, and name the signature that clients call in the plan (validation.signature).",
        check_signature,
    ),
    Check(
        "savedmodel/compatible",
        Finding.FAIL,
        "Does the candidate take every request that the stable model takes, and answer it in the same form?",
        "Keep the stable model's signature, and put new inputs and outputs into a signature of their own.",
        check_compatible,
        needs_stable=True,
    ),
    Check(
        "savedmodel/variables",
        Finding.FAIL,
        "Are the weights complete, undamaged and finite?",
        f"Where a checksum, a length or a file is wrong: {COPY_AGAIN[0].lower()}{COPY_AGAIN[1:]} "
        "Where the values are wrong: export the last good checkpoint.",
        check_variables,
    ),
    Check(
        "savedmodel/operations",
        Finding.FAIL,
        "Is every operation that a server runs free of reading or writing files, using the network and calling Python?",
        "First find out who put the operation there. Read files during training, and keep the files that serving needs as assets.",
        check_operations,
    ),
    Check("savedmodel/assets", Finding.FAIL, "Are the files that the graph reads in the model?", COPY_AGAIN, check_assets),
    Check(
        "savedmodel/constants",
        Finding.FAIL,
        "Do the constants take no more memory than they take in the file?",
        "Make large tensors variables, or compute them in the graph.",
        check_constants,
    ),
    Check(
        "savedmodel/devices",
        Finding.FAIL,
        "Is every operation free to run on the devices that a server has?",
        "Export without tf.device, or name the servers' devices in the plan (validation.devices).",
        check_devices,
    ),
    Check(
        "savedmodel/warmup",
        Finding.FAIL,
        "Do the warm-up requests, which a server runs before it becomes available, fit the model?",
        "Record the warm-up requests again with this signature, or leave the file out.",
        check_warmup,
    ),
    Check(
        "savedmodel/keras",
        Finding.WARN,
        "Are the Keras layers free of Python code?",
        "Replace each Lambda layer by a layer class, and export with `model.export`.",
        check_keras,
    ),
    Check("savedmodel/fingerprint", Finding.FAIL, "Can the file fingerprint.pb be read?", COPY_AGAIN, check_fingerprint),
    Check(
        "savedmodel/size",
        Finding.WARN,
        "Is the model about as large as the stable model?",
        "Make sure that this is the intended model, and that the servers have enough memory.",
        check_size,
    ),
)
"""Every check of a SavedModel that could be read."""
