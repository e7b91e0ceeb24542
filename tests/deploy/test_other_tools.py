"""The examples for other people's controllers: their own definitions know every field, and the judge's own options are real ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.binaries import crds
from tests.cluster.api import ApiError
from tests.cluster.cluster import Cluster, define
from tests.cluster.fixtures import cluster, missing, namespace
from tfcanary.adapters.metrics.track_selectors import labels_of
from tfcanary.cli.judge import judge
from tfcanary.core import codec
from tfcanary.core.plan import Plan
from tfcanary.run.alone.judge_service import HOOKS
from tfcanary.run.alone.lone_watch import Answer

__all__ = ["cluster", "namespace"]

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = ("argo-rollouts.yaml", "argo-rollouts-web.yaml", "flagger.yaml", "kserve.yaml")
DEFINITIONS = ("rollouts.argoproj.io", "analysistemplates.argoproj.io", "canaries.flagger.app", "inferenceservices.serving.kserve.io")
PLURALS = {"NetworkPolicy": "networkpolicies", "Canary": "canaries"}
Json = dict[str, Any]


def documents(name: str) -> list[Json]:
    return [document for document in yaml.safe_load_all((EXAMPLES / name).read_text()) if document]


def of_kind(name: str, kind: str) -> list[Json]:
    return [document for document in documents(name) if document["kind"] == kind]


def values(found: Any, key: str) -> Iterator[Any]:
    """Everything that lies under a key, at any depth."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(found, list):
        for one in found:
            yield from values(one, key)


def commands(name: str) -> list[list[str]]:
    """The arguments of each container that judges."""
    containers = [one for found in values(documents(name), "containers") for one in found]
    return [one["args"] for one in containers if one["name"] == "judge"]


@pytest.mark.parametrize("name", ["argo-rollouts.yaml", "argo-rollouts-web.yaml", "kserve.yaml"])
def test_the_judge_understands_each_option_of_the_examples(name: str) -> None:
    (arguments,) = commands(name)
    assert arguments[:2] == ["tfcanary", "judge"]
    context = judge.make_context("judge", list(arguments[2:]))
    for option in ("stable", "canary"):
        if context.params[option]:
            assert labels_of(f"--{option}-selector", context.params[option])
    assert re.fullmatch(r"kube://serving/(rollouts|inferenceservices)/digits", context.params["split_uri"])


@pytest.mark.parametrize("name", ["argo-rollouts.yaml", "kserve.yaml"])
def test_the_plan_of_an_example_is_one(name: str) -> None:
    (config,) = of_kind(name, "ConfigMap")
    plan: Plan = codec.decode(Plan, yaml.safe_load(config["data"]["plan.yaml"]))
    assert plan.metrics.url


def test_the_options_that_flagger_needs_are_in_the_comment() -> None:
    text = (EXAMPLES / "flagger.yaml").read_text()
    for option in ("--stable-selector=", "--canary-selector="):
        labels_of(option, text.partition(option)[2].splitlines()[0])


def test_each_hook_of_flagger_has_its_own_type_and_path() -> None:
    (canary,) = of_kind("flagger.yaml", "Canary")
    hooks = canary["spec"]["analysis"]["webhooks"]
    assert [one["type"] for one in hooks] == list(HOOKS)
    assert all(one["url"].endswith(f":8080/flagger/{one['type']}") for one in hooks)


def test_to_argo_nothing_but_promote_is_a_success() -> None:
    """Argo ends a run as successful when `count` is reached and no limit is violated, unless it has a limit of successes."""
    watch, verdict = (one["spec"]["metrics"][0] for one in of_kind("argo-rollouts-web.yaml", "AnalysisTemplate"))
    assert verdict["successCondition"] == f'result == "{Answer.PROMOTE.value}"'
    assert verdict["failureCondition"] == watch["failureCondition"] == f'result in ["{Answer.ROLLBACK.value}", "{Answer.UNDECIDED.value}"]'
    assert verdict["consecutiveSuccessLimit"] == 1
    assert verdict["failureLimit"] == 0
    assert verdict["inconclusiveLimit"] < verdict["count"]
    (rollout,) = of_kind("argo-rollouts-web.yaml", "Rollout")
    assert rollout["spec"]["strategy"]["canary"]["steps"][-1]["analysis"]["templates"] == [{"templateName": "tfcanary-verdict"}]


@pytest.fixture(scope="module")
def defined(cluster: Cluster) -> Cluster:
    """With the definitions of Argo Rollouts, Flagger and KServe."""
    try:
        files = [crds.find(name) for name in DEFINITIONS]
    except FileNotFoundError as error:
        missing(error)
    define(cluster.api, files)
    return cluster


def create(cluster: Cluster, document: Json, namespace: str) -> None:
    """As `kubectl apply` would do it, with every unknown field refused, and nothing written."""
    api, plural = document["apiVersion"], PLURALS.get(document["kind"], f"{document['kind'].lower()}s")
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    cluster.api.post(f"{root}/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict", document)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_their_definitions_know_every_field(defined: Cluster, namespace: str, name: str) -> None:
    for document in documents(name):
        create(defined, document, namespace)


@pytest.mark.slow
def test_the_canary_of_kserve_without_knative_is_known_too(defined: Cluster, namespace: str) -> None:
    (service,) = of_kind("kserve.yaml", "InferenceService")
    predictor = service["spec"]["predictor"]
    predictor.pop("canaryTrafficPercent")
    service["spec"]["canary"] = [{"trafficPercent": 10, "predictor": {"name": "v8", "model": {"name": "v8", **predictor["model"]}}}]
    create(defined, service, namespace)


@pytest.mark.slow
def test_a_field_that_they_do_not_know_would_be_noticed(defined: Cluster, namespace: str) -> None:
    for name, kind, place in (
        ("argo-rollouts.yaml", "AnalysisTemplate", "spec"),
        ("flagger.yaml", "Canary", "spec"),
        ("kserve.yaml", "InferenceService", "spec"),
    ):
        document = of_kind(name, kind)[0]
        document[place]["honourLabels"] = True
        with pytest.raises(ApiError, match="honourLabels"):
            create(defined, document, namespace)
