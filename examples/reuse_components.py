"""Somebody else's pipeline: a candidate is tried under real traffic for one stage, and never promoted.

It knows none of this project's Python. The components come as compiled files, which a pipeline of any repository can
load from where they lie, or from an address:

    components.load_component_from_url("https://example.com/tfcanary/0.1.0/validate_savedmodel.yaml")

Three rules keep it safe. The guard is the exit step, so that the release has an end whatever happens. Every step with
effects is given the run's id, which also keeps it from the cache. A gate reads the unnamed output.
"""

from importlib.resources import files

from kfp import components, dsl

PACKAGES = files("tfcanary") / "packages"


def load(name: str) -> components.YamlComponent:
    """A component from its file."""
    return components.load_component_from_file(str(PACKAGES / f"{name}.yaml"))


validate_savedmodel = load("validate_savedmodel")
push_model = load("push_model")
deploy_canary = load("deploy_canary")
watch_stage = load("watch_stage")
evaluate_drift = load("evaluate_drift")
guard_release = load("guard_release")


@dsl.component(base_image="python:3.11-slim")
def tell(model_name: str, watched: str, drift: str) -> str:
    """Their own step: what they do with what was found.

    Args:
        model_name: Whose candidate was tried.
        watched: What the watch said.
        drift: What the comparison of the requests said.

    Returns:
        The sentence that it printed.
    """
    said = f"{model_name}: {watched} after one stage; drift: {drift}"
    print(said)
    return said


@dsl.pipeline(name="try-a-candidate")
def try_a_candidate(model_uri: str, model_name: str, platform: str, plan: dict):
    """Try a candidate at the plan's first weight, say what was found, and put everything back.

    Args:
        model_uri: The exported SavedModel: a directory or a gs:// URI.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
    """
    owner = {"model_name": model_name, "platform": platform, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
    release = {**owner, "plan": plan}
    with dsl.ExitHandler(guard_release(**owner, reason="it was only tried")):
        valid = validate_savedmodel(model_uri=model_uri, **release)
        with dsl.If(valid.outputs["Output"] == "pass"):
            pushed = push_model(model_uri=model_uri, digest=valid.outputs["digest"], **release)
            deployed = deploy_canary(version=pushed.output, **release)
            watched = watch_stage(stage=0, **release).after(deployed)
            drift = evaluate_drift(stage=0, watched=watched.outputs["evidence"], **release)
            tell(model_name=model_name, watched=watched.outputs["Output"], drift=drift.outputs["Output"])
