"""The fingerprint that TensorFlow leaves in an export: it must at least be one.

It proves nothing: it does not cover the weights, and nobody signs it. The gate's identity is the manifest.
"""

from __future__ import annotations

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import evidence, fails, warns
from tfcanary.look.savedmodel.protobuf_walk import Unreadable, parse
from tfcanary.tf.wire import messages

FILE = "fingerprint.pb"
FILE_BYTES = 2**16


def check_fingerprint(case: Case) -> Evidence:
    """The file can be read and says something."""
    size = case.tree.sizes.get(FILE)
    if size is None:
        return evidence("fingerprint", [], "the export has no fingerprint, as before TensorFlow 2.12")
    if size > FILE_BYTES:
        return evidence("fingerprint", [fails(f"{FILE} has {size:,} bytes; a fingerprint has about a hundred")], "")
    try:
        found = parse(messages.FingerprintDef, (case.model / FILE).read_bytes())
    except (Unreadable, OSError) as error:
        return evidence("fingerprint", [fails(f"{FILE}, the fingerprint: {error}")], "")
    problems = [] if found.graph_def_program_hash else [warns(f"{FILE}, the fingerprint, is empty")]
    return evidence("fingerprint", problems, f"graph {found.graph_def_program_hash:016x}, checkpoint {found.checkpoint_hash:016x}")
