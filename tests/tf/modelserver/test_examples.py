"""Classify, Regress and MultiInference, over REST and over gRPC."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import Running
from tfcanary.tf.wire import messages, tfrecord

Ask = Callable[..., Any]
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture
def ask(server: Running) -> Iterator[Ask]:
    """Sends a request to a method of PredictionService, and returns the response."""
    with grpc.insecure_channel(server.grpc) as channel:

        def ask(method: str, request: Any) -> Any:
            response = {"Classify": "ClassificationResponse", "Regress": "RegressionResponse"}.get(method, f"{method}Response")
            call = channel.unary_unary(
                f"/tensorflow.serving.PredictionService/{method}", type(request).SerializeToString, getattr(messages, response).FromString
            )
            return call(request, timeout=20)

        yield ask


def refusal(ask: Ask, method: str, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(method, request)
    return caught.value.code().name, caught.value.details()


def example(**features: Any) -> Any:
    made = messages.Example()
    for name, value in features.items():
        made.features.feature[name].CopyFrom(
            messages.Feature(float_list={"value": [value]}) if isinstance(value, float) else messages.Feature(bytes_list={"value": [value]})
        )
    return made


def source(*ages: float) -> Any:
    return messages.Input(example_list={"examples": [example(age=age) for age in ages]})


def test_classes_are_pairs_of_label_and_score(server: Running) -> None:
    reply = server.call("POST", "/v1/models/examples:classify", {"examples": [{"age": 16.0}, {"age": 48.0}]})
    assert (reply.status, reply.text) == (200, '{"results":[[["old",0.25],["young",0.75]],[["old",0.75],["young",0.25]]]}')


def test_a_model_may_have_scores_or_labels_alone(server: Running) -> None:
    body = {"signature_name": "scores", "examples": [{"age": 16.0}]}
    assert server.call("POST", "/v1/models/examples:classify", body).json == {"results": [[["", 0.25], ["", 0.75]]]}
    body = {"signature_name": "labels", "examples": [{"age": 16.0, "name": "Ann"}, {"age": [1.0], "name": {"b64": "QmVu\n"}}]}
    assert server.call("POST", "/v1/models/examples/versions/1:classify", body).json == {"results": [[["Ann", 0.0]], [["Ben", 0.0]]]}


@pytest.mark.parametrize("signature", ["regress", "column"])
def test_a_regression_is_one_number_for_each_example(server: Running, signature: str) -> None:
    body = {"signature_name": signature, "examples": [{"age": 16.0}, {"age": 0.5}]}
    reply = server.call("POST", "/v1/models/examples:regress", body)
    assert (reply.status, reply.text) == (200, '{"results":[8.0,0.25]}')


def test_numbers_that_are_none_are_bare_words_here_too(server: Running) -> None:
    body = b'{"signature_name": "logarithm", "examples": [{"age": 0.0}, {"age": -1.0}, {"age": Infinity}]}'
    assert server.call("POST", "/v1/models/examples:regress", body).text == '{"results":[-Infinity,NaN,Infinity]}'
    assert (
        server.call("POST", "/v1/models/examples:classify", b'{"examples": [{"age": NaN}]}').text
        == '{"results":[[["old",NaN],["young",NaN]]]}'
    )


def test_a_context_holds_what_all_examples_share(server: Running, ask: Ask) -> None:
    body = {"signature_name": "labels", "context": {"name": "Ann"}, "examples": [{"age": 1.0}, {"age": 2.0, "name": "Ben"}]}
    assert server.call("POST", "/v1/models/examples:classify", body).json == {"results": [[["Ann", 0.0]], [["Ben", 0.0]]]}
    shared = messages.Input(example_list_with_context={"context": example(name=b"Ann"), "examples": [example(age=1.0)]})
    request = messages.ClassificationRequest(model_spec={"name": "examples", "signature_name": "labels"}, input=shared)
    assert ask("Classify", request).result.classifications[0].classes[0].label == "Ann"


REFUSED = [
    ("classify", {}, "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
    ("regress", {"examples": 1}, "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array"),
    ("regress", {"examples": []}, "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
    ("regress", {"examples": [1]}, "Example must be JSON object but got JSON Number"),
    ("regress", {"context": [], "examples": [{}]}, "Example must be JSON object but got JSON Array"),
    ("regress", {"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type: Null"),
    ("regress", {"examples": [{"a": [[1]]}]}, "Feature: a has element with unexpected JSON type: Array"),
    ("regress", {"examples": [{"a": {"b": 1}}]}, "Feature: a has element with unexpected JSON type: Object"),
    ("regress", {"examples": [{"a": [1, 1.5]}]}, "Unexpected element type in feature: a expecting type: int64"),
    ("regress", {"examples": [{"a": ["x", True]}]}, "Unexpected element type in feature: a expecting type: bytes"),
    ("regress", {"examples": [{"a": 2**63}]}, "Feature: a has uint64 element. Only int64 is supported."),
    ("regress", {"examples": [{"a": {"b64": "?"}}]}, "Unable to base64 decode"),
    ("classify", {"signature_name": "nix", "examples": [{}]}, "No signature was found with the name: nix"),
    ("classify", {"signature_name": "flat", "examples": [{"age": 1.0}]}, "Expected Tensor shape: [batch_size num_classes] but got [1]"),
    ("classify", {"signature_name": "double", "examples": [{"age": 1.0}]}, "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    ("classify", {"signature_name": "short", "examples": [{"age": 1.0}] * 2}, "Expected scores output batch size of 2. Got: 1"),
    ("regress", {"examples": [{"age": 1.0}]}, "Expected one output Tensor."),
    (
        "regress",
        {"signature_name": "square", "examples": [{"age": 1.0}]},
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,2]",
    ),
]


@pytest.mark.parametrize(("verb", "body", "message"), REFUSED)
def test_what_is_wrong_is_said_in_the_originals_words(server: Running, verb: str, body: object, message: str) -> None:
    reply = server.call("POST", f"/v1/models/examples:{verb}", body)
    assert (reply.status, reply.error) == (400, message)


def test_a_signature_without_classes_scores_or_inputs_is_refused(server: Running) -> None:
    reply = server.call("POST", "/v1/models/examples:classify", {"signature_name": "nothing", "examples": [{"age": 1.0}]})
    assert reply.status == 400
    assert reply.error.startswith(
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: '
    )
    reply = server.call("POST", "/v1/models/examples:regress", {"signature_name": "predict", "examples": [{"age": 1.0}]})
    assert reply.error.startswith("No regression inputs found in SignatureDef: ")


def test_grpc_answers_with_the_same_values_and_names_the_version(ask: Ask) -> None:
    answer = ask("Classify", messages.ClassificationRequest(model_spec={"name": "examples"}, input=source(16.0, 48.0)))
    assert [[one.label for one in classes.classes] for classes in answer.result.classifications] == [["old", "young"]] * 2
    assert [classes.classes[0].score for classes in answer.result.classifications] == pytest.approx([0.25, 0.75])
    assert (answer.model_spec.name, answer.model_spec.signature_name, answer.model_spec.version.value) == ("examples", "serving_default", 1)
    request = messages.RegressionRequest(model_spec={"name": "examples", "signature_name": "regress"}, input=source(16.0, 1.0))
    assert [one.value for one in ask("Regress", request).result.regressions] == [8.0, 0.5]


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (None, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"name": "nix"}, "NOT_FOUND", "Servable not found for request: Latest(nix)"),
        ({"name": "examples", "signature_name": "nix"}, "INVALID_ARGUMENT", "No signature was found with the name: nix"),
        ({"name": "examples"}, "INVALID_ARGUMENT", "Input is empty."),
    ],
)
def test_grpc_refuses_in_the_originals_words(ask: Ask, spec: object, code: str, message: str) -> None:
    assert refusal(ask, "Classify", messages.ClassificationRequest(model_spec=spec)) == (code, message)


def tasks(*pairs: tuple[str, str], **spec: Any) -> list[dict]:
    return [{"method_name": method, "model_spec": {"name": "examples", "signature_name": signature, **spec}} for signature, method in pairs]


def test_several_signatures_answer_one_request(ask: Ask) -> None:
    both = tasks(("", CLASSIFY), ("regress", REGRESS))
    first, second = ask("MultiInference", messages.MultiInferenceRequest(tasks=both, input=source(16.0))).results
    assert first.classification_result.classifications[0].classes[1].label == "young"
    assert (first.model_spec.signature_name, first.model_spec.version.value) == ("serving_default", 1)
    assert second.regression_result.regressions[0].value == 8.0


@pytest.mark.parametrize(
    ("requested", "code", "message"),
    [
        ([], "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (tasks(("nix", CLASSIFY)), "INVALID_ARGUMENT", "Requested signature not found in model graph: nix"),
        (tasks(("", "tensorflow/serving/predict")), "UNIMPLEMENTED", "Unsupported signature method_name: tensorflow/serving/predict"),
        (tasks(("", CLASSIFY), ("serving_default", CLASSIFY)), "INVALID_ARGUMENT", "Duplicate evaluation of signature: serving_default"),
        (tasks(("", CLASSIFY), ("elsewhere", REGRESS)), "INVALID_ARGUMENT", "Input tensor must be the same for all Signatures."),
        (
            tasks(("", CLASSIFY)) + tasks(("regress", REGRESS), name="half"),
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (tasks(("", CLASSIFY)) + tasks(("regress", REGRESS), name=""), "INVALID_ARGUMENT", "Found ModelSpec with an empty model name."),
    ],
)
def test_tasks_that_do_not_fit_together_are_refused(ask: Ask, requested: list[dict], code: str, message: str) -> None:
    request = messages.MultiInferenceRequest(tasks=requested, input=source(1.0))
    assert refusal(ask, "MultiInference", request) == (code, message)


def test_examples_are_counted_and_multi_inference_counts_nothing_else(ask: Ask, server: Running) -> None:
    names = [
        'request_example_counts_bucket{model="examples",le="4"}',
        'request_example_counts_sum{model="examples"}',
        'request_example_count_total{model="examples"}',
        'request_count{model_name="examples",status="OK"}',
        'request_latency_count{model_name="examples",API="Classify",entrypoint="GRPC"}',
        'runtime_latency_count{model_name="examples",API="Classify",runtime="TF1"}',
        'runtime_latency_count{model_name="examples",API="MultiInference",runtime="TF1"}',
    ]

    def counted() -> list[float]:
        return [server.metric(f":tensorflow:serving:{name}") for name in names]

    before = counted()
    ask("Classify", messages.ClassificationRequest(model_spec={"name": "examples"}, input=source(1.0, 2.0, 3.0)))
    ask(
        "MultiInference",
        messages.MultiInferenceRequest(tasks=tasks(("", CLASSIFY), ("regress", REGRESS)), input=source(1.0, 2.0, 3.0, 4.0)),
    )
    refusal(ask, "Classify", messages.ClassificationRequest(model_spec={"name": "examples"}))
    assert [after - one for after, one in zip(counted(), before, strict=True)] == [1, 7, 7, 1, 1, 1, 2]


def test_warm_up_replays_every_kind_of_request_and_its_time_is_on_the_page(start: Start, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "examples/1", tmp_path / "m/1")
    (tmp_path / "m/1/assets.extra").mkdir()
    spec, both = {"name": "m", "signature_name": "regress"}, tasks(("", CLASSIFY), ("regress", REGRESS), name="m")
    logs = [
        messages.PredictionLog(classify_log={"request": {"model_spec": {"name": "m"}, "input": source(1.0, 2.0)}}),
        messages.PredictionLog(regress_log={"request": {"model_spec": spec, "input": source(1.0)}}),
        messages.PredictionLog(multi_inference_log={"request": {"tasks": both, "input": source(1.0)}}),
    ]
    tfrecord.write(tmp_path / "m/1/assets.extra/tf_serving_warmup_requests", [log.SerializeToString() for log in logs])
    server = start("--model_name=m", f"--model_base_path={tmp_path}/m").await_ports()
    path = f'model_path="{tmp_path}/m/1",status="OK"'
    assert server.metric(f":tensorflow:serving:model_warmup_records_read{{{path}}}") == 3
    assert server.metric(f":tensorflow:serving:model_warmup_latency_count{{{path}}}") == 1
    assert server.metric(f":tensorflow:serving:model_warmup_latency_sum{{{path}}}") > 100
    assert server.metric(':tensorflow:serving:runtime_latency_count{model_name="m",API="MultiInference",runtime="TF1"}') == 2
    assert ":tensorflow:serving:request_count{" not in server.page()


def test_a_warm_up_request_that_cannot_be_answered_fails_the_load(start: Start, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "examples/1", tmp_path / "m/1")
    (tmp_path / "m/1/assets.extra").mkdir()
    log = messages.PredictionLog(regress_log={"request": {"model_spec": {"name": "m"}, "input": source(1.0)}})
    tfrecord.write(tmp_path / "m/1/assets.extra/tf_serving_warmup_requests", [log.SerializeToString()])
    server = start("--model_name=m", f"--model_base_path={tmp_path}/m")
    assert server.wait() == 255
    assert "Expected one output Tensor." in server.output()


def test_rest_counts_the_verb_as_it_was_typed(server: Running) -> None:
    name = ':tensorflow:serving:request_latency_count{model_name="examples",API="classify",entrypoint="REST"}'
    before = server.metric(name)
    server.call("POST", "/v1/models/examples:classify", {"examples": [{"age": 1.0}]})
    assert server.metric(name) == before + 1
