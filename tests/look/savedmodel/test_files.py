"""Assets, warm-up requests and what Keras leaves behind."""

import json

import pytest

from tests.look.savedmodel.asked import ask, found, refuses
from tests.look.savedmodel.test_reader import message, saved
from tests.look.savedmodel.test_signature import default
from tfcanary.core.domain import Finding
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import check
from tfcanary.tf.wire import messages, tfrecord

WARMUP = "assets.extra/tf_serving_warmup_requests"


def asset(message):
    return message.meta_graphs[0].asset_file_def[0]


def test_an_asset_is_looked_for_where_the_server_reads_it(models, copy):
    assert ask(models / "words", "assets").figures == {"assets": 1.0}
    model = copy("words")
    (model / "assets/words.txt").unlink()
    refuses(ask(model, "assets"), "'words.txt' is missing")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", "a/../../b", "./words.txt", "..\\words.txt"])
def test_an_asset_outside_the_model_fails(copy, name):
    refuses(ask(saved(copy("words"), lambda m: setattr(asset(m), "filename", name)), "assets"), "outside")


def test_an_asset_for_a_tensor_that_is_not_there_fails(copy):
    refuses(ask(saved(copy("words"), lambda m: setattr(asset(m).tensor_info, "name", "gone:0")), "assets"), "'gone:0'")


def test_an_asset_that_nobody_reads_is_shown(copy):
    model = copy()
    (model / "assets/spare.txt").write_text("x")
    assert ask(model, "assets").finding is Finding.WARN


def predict(shape=(1, 64), name="image", dtype="DT_FLOAT", signature=""):
    log = messages.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    request.inputs[name].dtype = messages.DataType.Value(dtype)
    request.inputs[name].tensor_shape.dim.extend(messages.TensorShapeProto.Dim(size=size) for size in shape)
    return log


def warmed(model, *logs, compressed=False):
    (model / WARMUP).parent.mkdir()
    tfrecord.write(model / WARMUP, [log if isinstance(log, bytes) else log.SerializeToString() for log in logs], compressed)
    return model


def test_warm_up_requests_that_fit_pass(copy):
    evidence = ask(warmed(copy(), predict(), predict((8, 64))), "warmup")
    assert (evidence.finding, evidence.reason) == (Finding.PASS, "every warm-up request fits the model")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (predict((1, 63)), "gives 'image' as float32 [1,63], the model takes float32 [?,64]"),
        (predict(dtype="DT_DOUBLE"), "float64"),
        (predict(name="picture"), "lacks the input 'image'"),
        (predict(signature="classify"), "the signature 'classify'"),
        (messages.PredictionLog(), "is an empty record"),
        (b"\xff\xff", "damaged"),
    ],
)
def test_one_warm_up_request_that_does_not_fit_fails_because_it_fails_the_load(copy, log, words):
    refuses(ask(warmed(copy(), predict(), log), "warmup"), "warm-up request 2", words)


def test_too_many_compressed_or_damaged_warm_up_requests_fail(copy, tmp_path):
    refuses(ask(warmed(copy(), *[predict()] * 1001), "warmup"), "more than 1,000")
    refuses(ask(warmed(copy("stable"), predict(), compressed=True), "warmup"), "compressed")
    model = warmed(copy("flat"), predict())
    (model / WARMUP).write_bytes((model / WARMUP).read_bytes()[:-1])
    refuses(ask(model, "warmup"), "tf_serving_warmup_requests")


NESTED = json.dumps({"class_name": "Functional", "config": {"layers": [{"class_name": "Lambda", "config": {"name": "secret"}}]}}).encode()
LONG = b'{"class_name": "Lambda", "config": {"name": "secret"}' + b" " * 2**22 + b"}"
LAMBDA = json.dumps({"class_name": "Lambda", "config": {"name": "secret", "function": ["4wAAAA==", None, None]}}).encode()


@pytest.mark.parametrize(
    ("metadata", "name"), [(LAMBDA, "secret"), (NESTED, "secret"), (LONG, "long description")], ids=["own", "nested", "long"]
)
def test_python_code_in_keras_metadata_is_shown(copy, metadata, name):
    model = copy()
    (model / "keras_metadata.pb").write_bytes(message(1, message(5, b'{"class_name": "Dense"}')) + message(1, message(5, metadata)))
    evidence = ask(model, "keras")
    assert evidence.finding is Finding.WARN
    assert name in evidence.reason


def test_python_code_in_the_graph_of_objects_is_shown(copy):
    def plant(saved_model):
        saved_model.meta_graphs[0].object_graph_def.nodes.add().user_object.metadata = LAMBDA.decode()

    assert ask(saved(copy(), plant), "keras").finding is Finding.WARN


@pytest.mark.parametrize("content", [b"\xff", message(1, message(5, b"[" * 100_000)), message(1, message(5, b"3"))])
def test_keras_metadata_that_is_none_does_no_harm(copy, content):
    model = copy()
    (model / "keras_metadata.pb").write_bytes(content)
    assert ask(model, "keras").finding in (Finding.PASS, Finding.FAIL)


@pytest.mark.parametrize(
    ("op", "devices", "finding"),
    [("Placeholder", (), Finding.FAIL), ("Placeholder", ("GPU",), Finding.PASS), ("NoOp", (), Finding.WARN)],
    ids=["served", "declared", "not served"],
)
def test_an_operation_pinned_to_a_device_that_no_server_has_fails(copy, op, devices, finding):
    def pin(saved_model):
        graph = saved_model.meta_graphs[0].graph_def
        node = graph.node.add(name="spare", op="NoOp") if op == "NoOp" else next(one for one in graph.node if "image" in one.name)
        node.device = "/device:GPU:0"

    evidence = found(check(saved(copy(), pin), ValidationPlan(devices=devices), None), "devices")
    assert evidence.finding is finding
    assert finding is Finding.PASS or "/device:GPU:0" in evidence.reason


@pytest.mark.parametrize("sizes", [(2**40,), (2**14, 2**15), (2**62,) * 254])
def test_a_constant_of_a_few_bytes_that_unfolds_to_a_mountain_fails(copy, sizes):
    def grow(saved_model):
        node = saved_model.meta_graphs[0].graph_def.node.add(name="mountain", op="Const")
        tensor = node.attr["value"].tensor
        tensor.dtype = messages.DataType.Value("DT_FLOAT")
        tensor.tensor_shape.dim.extend(messages.TensorShapeProto.Dim(size=size) for size in sizes)
        tensor.float_val.append(1.0)

    refuses(ask(saved(copy(), grow), "constants"), "'mountain'")


def test_a_signature_may_leave_out_what_has_a_default(copy):
    def add(saved_model):
        default(saved_model).defaults["image"].dtype = 1

    assert ask(warmed(saved(copy(), add), predict(name="image")), "warmup").finding is Finding.PASS
