"""What the bodies of the components share: the step's arguments turned into values, and its findings into artifacts.

Nothing here decides or changes the world. Bodies pass KFP's artifacts in; only their `path` and `metadata` are used,
so this module does not know KFP.
"""

from tfcanary.run.steps.artifacts import (
    gate,
    outcome,
    publish_look,
    publish_release,
    publish_verdict,
    read_artifact,
    scalars,
    seen,
    side_by_side,
    signatures,
    timeline,
    write_look,
)
from tfcanary.run.steps.gate_looks import WORLD_DRIFT, compared, drifted, good, judged, merged, profiled, reference
from tfcanary.run.steps.model_files import fetch, files_of
from tfcanary.run.steps.step_inputs import (
    Artifact,
    Step,
    golden_requests,
    lineage,
    open_step,
    reopen_step,
    requests,
    sample_requests,
    stable_model,
)

__all__ = [
    "WORLD_DRIFT",
    "Artifact",
    "Step",
    "compared",
    "drifted",
    "fetch",
    "files_of",
    "gate",
    "golden_requests",
    "good",
    "judged",
    "lineage",
    "merged",
    "open_step",
    "outcome",
    "profiled",
    "publish_look",
    "publish_release",
    "publish_verdict",
    "read_artifact",
    "reference",
    "reopen_step",
    "requests",
    "sample_requests",
    "scalars",
    "seen",
    "side_by_side",
    "signatures",
    "stable_model",
    "timeline",
    "write_look",
]
