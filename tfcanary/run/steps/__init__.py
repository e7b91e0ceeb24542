"""The code that component bodies share: it turns a step's arguments into values, and its findings into artifacts.

Nothing here decides, and nothing here moves traffic. The bodies pass KFP's artifacts in, of which only `path` and
`metadata` are used, so this package does not import KFP.
"""

from tfcanary.run.steps.artifacts import (
    gate_word,
    metric_rows,
    outcome_rows,
    publish_look,
    publish_release,
    publish_verdict,
    read_artifact,
    read_checkpoint,
    read_timeline,
    release_signatures,
    signature_pairs,
    write_look,
)
from tfcanary.run.steps.gate_looks import (
    WORLD_DRIFT,
    compare_predictions,
    evaluate_drift,
    evaluate_quality,
    judge_stage,
    merge_profiles,
    profile_data,
    training_reference,
    validate_candidate,
)
from tfcanary.run.steps.model_files import candidate_uri, fetch, files_of
from tfcanary.run.steps.step_inputs import (
    Artifact,
    Step,
    check_run_id,
    golden_requests,
    lineage,
    open_step,
    recorded_requests,
    reopen_step,
    stable_model,
    warmup_requests,
)

__all__ = [
    "WORLD_DRIFT",
    "Artifact",
    "Step",
    "candidate_uri",
    "check_run_id",
    "compare_predictions",
    "evaluate_drift",
    "evaluate_quality",
    "fetch",
    "files_of",
    "gate_word",
    "golden_requests",
    "judge_stage",
    "lineage",
    "merge_profiles",
    "metric_rows",
    "open_step",
    "outcome_rows",
    "profile_data",
    "publish_look",
    "publish_release",
    "publish_verdict",
    "read_artifact",
    "read_checkpoint",
    "read_timeline",
    "recorded_requests",
    "release_signatures",
    "reopen_step",
    "signature_pairs",
    "stable_model",
    "training_reference",
    "validate_candidate",
    "warmup_requests",
    "write_look",
]
