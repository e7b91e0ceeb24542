"""The component that checks whether a SavedModel may take the stable version's place."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate_savedmodel(
    model_uri: str,
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    digest: dsl.OutputPath(str),
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    release_id: str = "",
) -> str:
    """Validate a SavedModel before anything is copied: its files, its signatures beside those of stable, and a trial load with sample requests.

    Args:
        model_uri: The exported SavedModel: a directory, a gs:// or an s3:// URI.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan; examples/plan.yaml is the smallest useful one.
        run_id: The id of the run that owns the release.
        digest: The SHA-256 of all the files, which identifies the version in every later step.
        evidence: The checks and their findings, as JSON.
        report: The findings as a page for people, with both signatures side by side.
        summary: The findings as Markdown.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        pass, fail or inconclusive.
    """
    from pathlib import Path

    from tfcanary.look import trial
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    look, pairs = steps.validate_candidate(step, model_uri)
    Path(digest).write_text(trial.digest(look))
    return steps.publish_look(step, look, f"{model_name}: validation", evidence, report, summary, pairs)
