"""The table of checks: what the gate asks of a SavedModel without running it, in the order of the report.

docs/gate.md shows it (`python -m tfcanary.look.trial.check_table` writes it); an id, once given, keeps its meaning.
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

AGAIN = "Copy the export again, and compare sizes and checksums with those where it was made."


@dataclass(frozen=True, slots=True)
class Check:
    """One question, how bad an answer can be, and what to do about it."""

    id: str
    severity: Finding
    question: str
    remedy: str
    ask: Callable[[Case], Evidence] | None = None
    """None: asked elsewhere, before a model could be read or by running it."""
    needs_stable: bool = False

    def advised(self, found: Evidence) -> Evidence:
        """What was found, with what to do where it is not plainly good."""
        if found.finding is Finding.PASS:
            return found
        return replace(found, reason=f"{found.reason.removesuffix('.')}. {self.remedy}")


TREE = Check(
    "savedmodel/tree",
    Finding.FAIL,
    "Are there only regular files with plain names that a SavedModel has?",
    "Export into an empty directory and copy regular files only.",
)
PARSE = Check("savedmodel/parse", Finding.FAIL, "Can the graph for serving be read?", f"Export it with the tag `serve`. {AGAIN}")
CHECKS: tuple[Check, ...] = (
    Check(
        "savedmodel/versions",
        Finding.FAIL,
        "Is the graph for the TensorFlow of the serving image?",
        "Export with the TensorFlow of the serving image, or name the image's in the plan (validation.tensorflow).",
        check_versions,
    ),
    Check(
        "savedmodel/registry",
        Finding.FAIL,
        "Does that TensorFlow know every operation and attribute?",
        "Use other layers, or serve with an image that has the operation and declare it in the plan (validation.operations).",
        check_registry,
    ),
    Check(
        "savedmodel/graph",
        Finding.FAIL,
        "Does everything exist that a node, a function or the server's start names, and does nothing wait for itself?",
        "Export again; a graph that was edited by hand must be mended where it was edited.",
        check_graph,
    ),
    Check(
        "savedmodel/signature",
        Finding.FAIL,
        "Can the model be asked: does the plan's signature exist, with tensors of the declared types?",
        "Export with `signatures=...`, and name the one that clients ask for in the plan (validation.signature).",
        check_signature,
    ),
    Check(
        "savedmodel/compatible",
        Finding.FAIL,
        "Can whoever asks the stable model today ask the candidate the same way?",
        "Keep the stable model's signature, and give what is new a signature of its own.",
        check_compatible,
        needs_stable=True,
    ),
    Check(
        "savedmodel/variables",
        Finding.FAIL,
        "Are the weights all there, undamaged, and numbers?",
        f"Where a checksum, a length or a file is wrong: {AGAIN[0].lower()}{AGAIN[1:]} Where the values are: export the last good checkpoint.",
        check_variables,
    ),
    Check(
        "savedmodel/operations",
        Finding.FAIL,
        "Does nothing that a server runs read or write files, use the network or call Python?",
        "Find out who put it there before anything else; read files while training, and keep what serving needs as assets.",
        check_operations,
    ),
    Check("savedmodel/assets", Finding.FAIL, "Do the files that the graph reads lie in the model?", AGAIN, check_assets),
    Check(
        "savedmodel/constants",
        Finding.FAIL,
        "Do the constants take as much memory as they take in the file?",
        "Make large tensors variables, or compute them in the graph.",
        check_constants,
    ),
    Check(
        "savedmodel/devices",
        Finding.FAIL,
        "Is no operation pinned to a device that a server lacks?",
        "Export without tf.device, or name the servers' devices in the plan (validation.devices).",
        check_devices,
    ),
    Check(
        "savedmodel/warmup",
        Finding.FAIL,
        "Can the model answer the requests that a server sends itself before it becomes available?",
        "Record the warm-up requests anew with this signature, or leave the file out.",
        check_warmup,
    ),
    Check(
        "savedmodel/keras",
        Finding.WARN,
        "Does no Keras layer carry Python code?",
        "Replace Lambda layers by layers of their own class, and export with `model.export`.",
        check_keras,
    ),
    Check("savedmodel/fingerprint", Finding.FAIL, "Is the fingerprint one?", AGAIN, check_fingerprint),
    Check(
        "savedmodel/size",
        Finding.WARN,
        "Is it about as large as the stable model?",
        "Make sure that it is the model you mean, and that the servers have the memory.",
        check_size,
    ),
)
"""Every question to a SavedModel that could be read."""
