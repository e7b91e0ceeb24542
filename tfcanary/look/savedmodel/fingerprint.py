"""Checks that the file fingerprint.pb, which TensorFlow writes into an export, can be read.

The fingerprint proves nothing: it does not cover the weights and has no signature. The identity of a version is the digest
of its manifest.
"""

from __future__ import annotations

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import evidence, failure, warning
from tfcanary.look.savedmodel.protobuf_walk import Unreadable, parse
from tfcanary.tf.wire import messages

FILE = "fingerprint.pb"
FILE_BYTES = 2**16


def check_fingerprint(case: Case) -> Evidence:
    """Check that the fingerprint can be read and is not empty; an export without one passes."""
    size = case.tree.sizes.get(FILE)
    if size is None:
        return evidence("fingerprint", [], "the export has no fingerprint, as is usual before TensorFlow 2.12")
    if size > FILE_BYTES:
        return evidence("fingerprint", [failure(f"{FILE} has {size:,} bytes; a fingerprint has about a hundred")], "")
    try:
        fingerprint = parse(messages.FingerprintDef, (case.model / FILE).read_bytes())
    except (Unreadable, OSError) as error:
        return evidence("fingerprint", [failure(f"{FILE}, the fingerprint: {error}")], "")
    graph, checkpoint = fingerprint.graph_def_program_hash, fingerprint.checkpoint_hash
    problems = [] if graph else [warning(f"{FILE}, the fingerprint, is empty")]
    return evidence("fingerprint", problems, f"graph {graph:016x}, checkpoint {checkpoint:016x}")
