"""The gRPC surface: predict, status and metadata, and what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import Running
from tfcanary.tf.wire import messages, tensor

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask(server: Running) -> Iterator[Ask]:
    """A function that calls `Service/Method` with the fields of a request, and returns the response."""
    with grpc.insecure_channel(server.grpc) as channel:

        def ask(method: str, **fields):
            name = method.partition("/")[2]
            request, answer = getattr(messages, f"{name}Request"), getattr(messages, f"{name}Response")
            call = channel.unary_unary(f"/tensorflow.serving.{method}", request.SerializeToString, answer.FromString)
            return call(request(**fields), timeout=20)

        yield ask


def inputs(**values) -> dict[str, messages.TensorProto]:
    return {alias: tensor.to_proto(np.array(value)) for alias, value in values.items()}


def refusal(ask: Ask, method: str, **fields) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(method, **fields)
    return caught.value.code().name, caught.value.details()


def test_status_is_that_of_the_version(ask: Ask) -> None:
    answer = ask("ModelService/GetModelStatus", model_spec={"name": "half", "version": {"value": 2}})
    [status] = answer.model_version_status
    assert (status.version, messages.ModelVersionStatus.State.Name(status.state), status.status.error_code) == (2, "AVAILABLE", 0)
    assert len(ask("ModelService/GetModelStatus", model_spec={"name": "half"}).model_version_status) == 2


def test_an_unknown_model_or_version_is_not_found(ask: Ask) -> None:
    found = refusal(ask, "ModelService/GetModelStatus", model_spec={"name": "nix"})
    assert found == ("NOT_FOUND", "Could not find any versions of model nix")
    found = refusal(ask, "ModelService/GetModelStatus", model_spec={"name": "half", "version": {"value": 7}})
    assert found == ("NOT_FOUND", "Could not find version 7 of model half")


def test_predict_answers_in_typed_fields_and_names_the_version(ask: Ask) -> None:
    answer = ask("PredictionService/Predict", model_spec={"name": "pair"}, inputs=inputs(a=np.float32([[1, 2]]), b=np.int64([3])))
    assert list(answer.outputs["sum"].float_val) == [6.0]
    assert list(answer.outputs["twice"].int64_val) == [6]
    assert (answer.model_spec.name, answer.model_spec.signature_name, answer.model_spec.version.value) == ("pair", "serving_default", 1)


def test_versions_and_labels_are_chosen_in_the_spec(ask: Ask) -> None:
    for spec, expected in [({"version": {"value": 1}}, 3.0), ({"version_label": "canary"}, 4.0)]:
        answer = ask("PredictionService/Predict", model_spec={"name": "half", **spec}, inputs=inputs(x=np.float32([2])))
        assert list(answer.outputs["y"].float_val) == [expected]


def test_only_the_wanted_outputs_come_back(ask: Ask) -> None:
    both = inputs(a=np.float32([[1, 2]]), b=np.int64([3]))
    assert list(ask("PredictionService/Predict", model_spec={"name": "pair"}, inputs=both, output_filter=["twice"]).outputs) == ["twice"]
    found = refusal(ask, "PredictionService/Predict", model_spec={"name": "pair"}, inputs=both, output_filter=["nix"])
    assert found == ("INVALID_ARGUMENT", "output tensor alias not found in signature: nix Outputs expected to be in the set {sum,twice}.")


def test_an_input_with_a_value_of_its_own_may_be_left_out(ask: Ask) -> None:
    answer = ask("PredictionService/Predict", model_spec={"name": "optional"}, inputs=inputs(x=np.float32([2])))
    assert list(answer.outputs["y"].float_val) == [20.0]


@pytest.mark.parametrize(
    ("spec", "fields", "code", "message"),
    [
        ({"name": "nix"}, {}, "NOT_FOUND", "Servable not found for request: Latest(nix)"),
        ({"name": "half", "version_label": "nix"}, {}, "INVALID_ARGUMENT", "Unrecognized servable version label: nix"),
        ({"name": "half", "signature_name": "nix"}, {}, "FAILED_PRECONDITION", 'Serving signature key "nix" not found.'),
        (
            {"name": "pair"},
            inputs(a=np.float32([[1, 2]])),
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
        ),
        (None, {}, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({}, {}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ],
)
def test_what_is_wrong_is_said_in_the_originals_words(ask: Ask, spec, fields, code: str, message: str) -> None:
    assert refusal(ask, "PredictionService/Predict", model_spec=spec, inputs=fields) == (code, message)


def test_a_tensor_that_contradicts_itself_is_refused(ask: Ask) -> None:
    wrong = messages.TensorProto(dtype=1, tensor_content=b"abc", tensor_shape={"dim": [{"size": 9}]})
    assert refusal(ask, "PredictionService/Predict", model_spec={"name": "half"}, inputs={"x": wrong})[0] == "INVALID_ARGUMENT"


def test_a_long_error_is_cut(ask: Ask) -> None:
    code, message = refusal(ask, "PredictionService/Predict", model_spec={"name": "x" * 5000})
    assert code == "NOT_FOUND"
    assert message.endswith("x...TRUNCATED")
    assert len(message) == 1024 + len("...TRUNCATED")


def test_metadata_is_the_signature_alone(ask: Ask) -> None:
    answer = ask("PredictionService/GetModelMetadata", model_spec={"name": "pair"}, metadata_field=["signature_def"])
    found = messages.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert sorted(found.signature_def["serving_default"].inputs) == ["a", "b"]
    assert refusal(ask, "PredictionService/GetModelMetadata", model_spec={"name": "pair"}, metadata_field=["nix"])[0] == "INVALID_ARGUMENT"


def test_status_and_metadata_are_not_counted(ask: Ask, server: Running) -> None:
    names = ['request_count{model_name="half",status="OK"}', 'request_latency_count{model_name="half",API="Predict",entrypoint="GRPC"}']

    def counted() -> list[float]:
        return [server.metric(f":tensorflow:serving:{name}") for name in names]

    before, failed = counted(), server.metric(':tensorflow:serving:request_count{model_name="half",status="NOT_FOUND"}')
    ask("ModelService/GetModelStatus", model_spec={"name": "half"})
    ask("PredictionService/GetModelMetadata", model_spec={"name": "half"}, metadata_field=["signature_def"])
    ask("PredictionService/Predict", model_spec={"name": "half"}, inputs=inputs(x=np.float32([1])))
    refusal(ask, "PredictionService/Predict", model_spec={"name": "half", "version": {"value": 8}})
    assert counted() == [count + 1 for count in before]
    assert server.metric(':tensorflow:serving:request_count{model_name="half",status="NOT_FOUND"}') == failed + 1


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_the_health_service_knows_the_server_and_no_models(server: Running, service: str) -> None:
    assert health(server, service) == b"\x08\x01"  # the field `status` with the value SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health(server, "half")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_there_is_no_health_service_without_its_flag(start: Start, models) -> None:
    running = start(models={"half": models / "half"}).await_ports()
    with pytest.raises(grpc.RpcError) as caught:
        health(running, "")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def health(server: Running, service: str) -> bytes:
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        name = service.encode()
        return call(b"\x0a" + bytes((len(name),)) + name if name else b"", timeout=20)


def test_the_official_messages_are_understood(server: Running) -> None:
    from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

    with grpc.insecure_channel(server.grpc) as channel:
        for method, request, response in [
            ("Classify", classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse),
            ("Regress", regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
        ]:
            sent = request()
            sent.model_spec.name = "examples"
            sent.model_spec.signature_name = "regress" if method == "Regress" else ""
            sent.input.example_list.examples.add().features.feature["age"].float_list.value.append(16.0)
            call = channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}", request.SerializeToString, response.FromString)
            assert len(str(call(sent, timeout=20).result)) > 10
        several = inference_pb2.MultiInferenceRequest(input=sent.input)
        several.tasks.add(method_name="tensorflow/serving/regress").model_spec.CopyFrom(sent.model_spec)
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/MultiInference",
            inference_pb2.MultiInferenceRequest.SerializeToString,
            inference_pb2.MultiInferenceResponse.FromString,
        )
        assert call(several, timeout=20).results[0].regression_result.regressions[0].value == 8.0
