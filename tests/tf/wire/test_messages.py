"""Our message classes are the originals': numbers, types, bytes, JSON."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, json_format, text_format

from tfcanary.tf.wire import messages

SOURCES = sorted(path.name for path in messages.DESCRIPTORS.parent.glob("*.proto"))

ORIGINALS = (
    "tensorflow.core.protobuf.saved_model_pb2",
    "tensorflow.core.protobuf.fingerprint_pb2",
    "tensorflow.core.protobuf.tensor_bundle_pb2",
    "tensorflow.core.protobuf.trackable_object_graph_pb2",
    "tensorflow.core.protobuf.saved_object_graph_pb2",
    "tensorflow.core.protobuf.named_tensor_pb2",
    "tensorflow.core.framework.graph_pb2",
    "tensorflow.core.example.example_pb2",
    "tensorflow.python.keras.protobuf.saved_metadata_pb2",
    "tensorflow_serving.apis.prediction_log_pb2",
    "tensorflow_serving.apis.get_model_status_pb2",
    "tensorflow_serving.apis.get_model_metadata_pb2",
    "tensorflow_serving.apis.model_management_pb2",
    "tensorflow_serving.config.model_server_config_pb2",
)
# Large fields that tfcanary does not read; they are kept as unknown fields.
OMITTED = {
    "tensorflow.GraphDef.debug_info",
    "tensorflow.NodeDef.experimental_type",
    "tensorflow.OpDef.ArgDef.experimental_full_type",
    "tensorflow.SavedBareConcreteFunction.function_spec",
    "tensorflow.SavedConcreteFunction.canonicalized_input_signature",
    "tensorflow.SavedConcreteFunction.output_signature",
    "tensorflow.SavedFunction.function_spec",
    "tensorflow.TypeSpecProto.type_state",
    "tensorflow.serving.SessionRunRequest.options",
    "tensorflow.serving.SessionRunResponse.metadata",
}
# No package on PyPI holds their .proto files.
UNPUBLISHED = {f"tensorflow.serving.{name}" for name in ("MonitoringConfig", "PrometheusConfig", "SSLConfig", "BatchingParameters")}


def facts(field):
    """Return everything about a field that decides its encoding."""
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof
    return {
        "name": field.name,
        "number": field.number,
        "type": field.type,
        "repeated": field.is_repeated,
        "packed": field.is_packed,
        "presence": field.has_presence,
        "of": kind.full_name if kind else None,
        "map": bool(field.message_type and field.message_type.GetOptions().map_entry),
        "oneof": oneof.name if oneof else None,
        "json": field.json_name,
    }


def all_messages(source: str):
    pending = list(messages.POOL.FindFileByName(source).message_types_by_name.values())
    while pending:
        message = pending.pop()
        pending.extend(message.nested_types)
        yield message


@pytest.fixture(scope="session")
def original_pool(tf):
    for name in ORIGINALS:
        module = importlib.import_module(name)
    return module.DESCRIPTOR.pool


OURS = [message for source in SOURCES for message in all_messages(source) if message.full_name not in UNPUBLISHED]


@pytest.mark.parametrize("message", OURS, ids=lambda message: message.full_name)
def test_every_field_is_written_as_the_original_writes_it(message, original_pool):
    original = original_pool.FindMessageTypeByName(message.full_name)
    expected = [facts(f) for f in original.fields if f.full_name not in OMITTED]
    assert sorted(map(facts, message.fields), key=str) == sorted(expected, key=str)


def test_what_is_omitted_is_still_there_in_the_originals(original_pool):
    for name in OMITTED:
        message, _, field = name.rpartition(".")
        assert field in original_pool.FindMessageTypeByName(message).fields_by_name


def all_enums():
    for source in SOURCES:
        yield from messages.POOL.FindFileByName(source).enum_types_by_name.values()
        for message in all_messages(source):
            yield from message.enum_types


@pytest.mark.parametrize("enum", list(all_enums()), ids=lambda enum: enum.full_name)
def test_every_enum_has_the_original_values(enum, original_pool):
    original = original_pool.FindEnumTypeByName(enum.full_name)
    assert {v.name: v.number for v in enum.values} == {v.name: v.number for v in original.values}


def test_a_saved_model_reads_as_in_tensorflow_and_survives_being_written_again(exported, original_pool):
    content = (exported / "saved_model.pb").read_bytes()
    ours = messages.SavedModel.FromString(content)
    original = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel.FromString(content)
    graph = ours.meta_graphs[0]
    assert list(graph.meta_info_def.tags) == ["serve"]
    assert list(graph.signature_def["serving_default"].outputs) == list(original.meta_graphs[0].signature_def["serving_default"].outputs)
    assert [node.op for node in graph.graph_def.node] == [node.op for node in original.meta_graphs[0].graph_def.node]
    assert graph.asset_file_def[0].filename == "words.txt"
    assert type(original).FromString(ours.SerializeToString()) == original  # unknown fields included


def test_fingerprint_reads_as_in_tensorflow(exported, tf):
    fingerprint = messages.FingerprintDef.FromString((exported / "fingerprint.pb").read_bytes())
    assert fingerprint.saved_model_checksum == tf.saved_model.experimental.read_fingerprint(str(exported)).saved_model_checksum


def test_a_predict_request_of_the_original_client_is_understood(tf, original_pool):
    predict_pb2 = importlib.import_module("tensorflow_serving.apis.predict_pb2")
    original = predict_pb2.PredictRequest()
    original.model_spec.name = "iris"
    original.model_spec.version.value = 42
    original.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0]]))
    ours = messages.PredictRequest.FromString(original.SerializeToString())
    assert (ours.model_spec.name, ours.model_spec.version.value) == ("iris", 42)
    assert ours.inputs["x"].dtype == messages.DataType.Value("DT_FLOAT")
    assert json_format.MessageToDict(ours) == json_format.MessageToDict(original)


def test_an_any_opens_in_our_own_pool():
    response = messages.GetModelMetadataResponse()
    signatures = messages.SignatureDefMap()
    signatures.signature_def["serving_default"].method_name = "tensorflow/serving/predict"
    response.metadata["signature_def"].Pack(signatures)
    text = json_format.MessageToDict(response, descriptor_pool=messages.POOL)
    assert text["metadata"]["signature_def"]["signatureDef"]["serving_default"]["methodName"] == "tensorflow/serving/predict"


def test_a_server_config_reads_from_text():
    text = 'model_config_list { config { name: "m" base_path: "/m" model_version_policy { specific { versions: 42 } } } }'
    config = text_format.Parse(text, messages.ModelServerConfig())
    assert list(config.model_config_list.config[0].model_version_policy.specific.versions) == [42]


def test_a_monitoring_config_reads_from_text():
    config = text_format.Parse('prometheus_config { enable: true path: "/metrics" }', messages.MonitoringConfig())
    assert (config.prometheus_config.enable, config.prometheus_config.path) == (True, "/metrics")


def test_the_compiled_descriptors_are_those_of_the_sources(tmp_path: Path):
    """`make protos` was run after the last change of a source."""
    folder, compiled = messages.DESCRIPTORS.parent, tmp_path / "compiled"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={folder}", "--include_imports", f"--descriptor_set_out={compiled}"]
    subprocess.run([*command, *SOURCES], check=True)
    fresh, kept = (descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()) for path in (compiled, messages.DESCRIPTORS))
    assert [file.name for file in kept.file] == [file.name for file in fresh.file]
    assert kept == fresh


def test_every_name_of_a_source_is_an_attribute():
    files = [messages.POOL.FindFileByName(source) for source in SOURCES]
    assert {file.package for file in files} == set(messages.PACKAGES)
    names = {name for file in files for name in (*file.message_types_by_name, *file.enum_types_by_name)}
    assert set(dir(messages)) == names | {"POOL"}
    assert all(getattr(messages, name).DESCRIPTOR.name == name for name in names)
    assert messages.SavedObject.DESCRIPTOR.full_name == "tensorflow.SavedObject"


def test_a_name_that_no_source_has_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'NoSuchMessage'"):
        _ = messages.NoSuchMessage
    assert "PredictRequest" in dir(messages)
    assert not any("." in name for name in dir(messages))


def test_importing_the_messages_imports_no_tensorflow():
    code = "import sys; from tfcanary.tf.wire import messages; messages.SavedModel; "
    code += "print([m for m in sys.modules if m.startswith('tensorflow')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
