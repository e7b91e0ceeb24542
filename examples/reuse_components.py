"""A pipeline of another project: it tries a candidate under real traffic for one stage and never promotes it.

The pipeline imports none of this project's Python. The components are compiled files, which a pipeline of any repository can
load from a folder or from an address:

    components.load_component_from_url("https://example.com/tfcanary/0.1.0/validate_savedmodel.yaml")

Three rules keep such a pipeline safe. The guard is the exit step, so that the release has an end whatever happens. Every step
is given the run's id, which also keeps it out of Kubeflow's cache. A gate reads the unnamed output.
"""

from importlib.resources import files

from kfp import components, dsl

PACKAGES = files("tfcanary") / "packages"


def load(name: str) -> components.YamlComponent:
    """Load a compiled component of tfcanary by its name."""
    return components.load_component_from_file(str(PACKAGES / f"{name}.yaml"))


validate_savedmodel = load("validate_savedmodel")
push_model = load("push_model")
deploy_canary = load("deploy_canary")
watch_stage = load("watch_stage")
evaluate_drift = load("evaluate_drift")
guard_release = load("guard_release")


@dsl.component(base_image="python:3.11-slim")
def summarise(model_name: str, decision: str, drift: str) -> str:
    """Print what the trial found; this step belongs to the other project.

    Args:
        model_name: The name of the model whose candidate was tried.
        decision: The word that watch_stage returned.
        drift: The word that evaluate_drift returned.

    Returns:
        The printed sentence.
    """
    sentence = f"{model_name}: {decision} after one stage; drift: {drift}"
    print(sentence)
    return sentence


@dsl.pipeline(name="try-a-candidate")
def try_a_candidate(model_uri: str, model_name: str, platform: str, plan: dict):
    """Try a candidate at the plan's first weight, print what was found, and give all requests back to the stable version.

    Args:
        model_uri: The exported SavedModel: a directory, a gs:// or an s3:// URI.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
    """
    owner = {"model_name": model_name, "platform": platform, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
    release = {**owner, "plan": plan}
    with dsl.ExitHandler(guard_release(**owner, reason="it was only tried")):
        validation = validate_savedmodel(model_uri=model_uri, **release)
        with dsl.If(validation.outputs["Output"] == "pass"):
            push = push_model(model_uri=model_uri, digest=validation.outputs["digest"], **release)
            deployment = deploy_canary(version=push.output, **release)
            watch = watch_stage(stage=0, **release).after(deployment)
            drift = evaluate_drift(stage=0, watch_verdict=watch.outputs["evidence"], **release)
            summarise(model_name=model_name, decision=watch.outputs["Output"], drift=drift.outputs["Output"])
