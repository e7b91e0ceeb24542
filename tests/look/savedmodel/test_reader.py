import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.look.savedmodel.asked import ask, refuses
from tests.look.savedmodel.tables import varint
from tfcanary.core import codec
from tfcanary.core.domain import Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import TensorFact, check, protobuf_walk, read
from tfcanary.tf.wire import messages


def test_the_facts_of_an_exported_model(models):
    facts = read(models / "good")
    signature = facts.public["serving_default"]
    assert signature.inputs == {"image": TensorFact("float32", (None, 64), "serving_default_image:0")}
    assert {name: str(one) for name, one in signature.outputs.items()} == {"probabilities": "float32 [?,10]"}
    assert facts.tensorflow_version.startswith("2.")
    assert len(facts.variables) == 2
    assert facts.operations["MatMul"] == 2
    assert list(facts.public) == ["serving_default"]


def test_a_model_passes_and_its_findings_survive_the_journey_as_json(models):
    look = check(models / "good", ValidationPlan(), models / "stable")
    assert look.finding is Finding.PASS, look
    assert codec.loads(Look, codec.dumps(look)) == look
    assert {one.about for one in look.evidence} >= {"savedmodel/tree", "savedmodel/signature", "savedmodel/compatible"}


def test_without_a_stable_model_the_comparison_is_absent_and_says_so(models):
    look = check(models / "good", ValidationPlan(), None)
    assert [one.about for one in look.absent] == ["savedmodel/compatible"]
    assert look.finding is Finding.PASS


def test_a_file_cut_anywhere_fails_and_is_refused_as_stable(models, copy):
    model = copy()
    content = (model / "saved_model.pb").read_bytes()
    for end in {0, 1, 2, 5, *range(7, len(content), 997), len(content) - 1}:
        (model / "saved_model.pb").write_bytes(content[:end])
        refuses(ask(model, "parse"))
    with pytest.raises(Refused, match="good: "):
        check(models / "good", ValidationPlan(), model)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=8))
def test_whatever_the_bytes_are_the_gate_answers(models, tmp_path_factory, edits):
    content = bytearray((models / "words/saved_model.pb").read_bytes())
    for at, new, length in edits:
        at %= len(content)
        content[at : at + length] = new
    model = tmp_path_factory.mktemp("mutated")
    (model / "saved_model.pb").write_bytes(content)
    look = check(model, ValidationPlan(), models / "words")
    assert codec.loads(Look, codec.dumps(look)) == look


def saved(model, change):
    """Read the file with the message classes, change it, and write it again."""
    message = messages.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    change(message)
    (model / "saved_model.pb").write_bytes(message.SerializeToString())
    return model


def add_graph(message, *tags):
    message.meta_graphs.add().meta_info_def.tags.extend(tags)


def tag(message, *tags):
    message.meta_graphs[0].meta_info_def.tags[:] = tags


def twice(message, repeated):
    repeated(message.meta_graphs[0].graph_def).append(repeated(message.meta_graphs[0].graph_def)[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: tag(m, "train"), "0 graphs tagged {serve} (it has: {'train'})"),
        (lambda m: tag(m, "serve", "gpu"), "it has: {'gpu','serve'}"),
        (lambda m: add_graph(m, "serve"), "2 graphs tagged {serve}"),
        (lambda m: m.ClearField("meta_graphs"), "it has: none"),
        (lambda m: setattr(m, "saved_model_schema_version", 2), "schema version 2"),
        (lambda m: twice(m, lambda graph: graph.node), "two nodes are called"),
        (lambda m: twice(m, lambda graph: graph.library.function), "two functions are called"),
    ],
)
def test_a_graph_that_a_server_would_not_find_or_take_fails(copy, change, words):
    refuses(ask(saved(copy(), change), "parse"), words)


def test_a_second_graph_for_another_purpose_passes(copy):
    assert ask(saved(copy(), lambda m: add_graph(m, "train")), "parse").finding is Finding.PASS


def bomb(depth):
    content = b""
    for _ in range(depth):
        content = b"\x12" + varint(len(content)) + content
    return content


def message(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(bomb(5000), id="nested five thousand times"),
        pytest.param(message(2, message(2, b"\x0a\x00" * 2_000_000)), id="two million empty nodes"),
        pytest.param(
            message(2, message(1, message(4, b"serve")) + message(2, message(1, message(3, b"x") * 20_000))),
            id="a node of twenty thousand inputs",
        ),
        pytest.param(b"\x0b" * 1000, id="groups"),
        pytest.param(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="a length beyond all files"),
        pytest.param(b"\xff" * 1000, id="an endless number"),
    ],
)
def test_hostile_bytes_fail_without_eating_memory(tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    tracemalloc.start()
    evidence = ask(tmp_path, "parse")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    refuses(evidence)
    assert peak < 100 * 2**20


@pytest.mark.parametrize(("limit", "words"), [("ROOM", "larger than the gate can check"), ("STEPS", "more than 20 fields")])
def test_a_graph_larger_than_the_limits_fails(models, monkeypatch, limit, words):
    monkeypatch.setattr(protobuf_walk, limit, 20)
    refuses(ask(models / "good", "parse"), words)


def test_a_large_constant_is_stepped_over(copy):
    def grow(message):
        node = message.meta_graphs[0].graph_def.node.add(name="large", op="Const")
        node.attr["dtype"].type = messages.DataType.Value("DT_FLOAT")
        tensor = node.attr["value"].tensor
        tensor.dtype = messages.DataType.Value("DT_FLOAT")
        tensor.tensor_shape.dim.add(size=10 * 2**20)
        tensor.tensor_content = bytes(40 * 2**20)

    model = saved(copy(), grow)
    tracemalloc.start()
    constant = read(model).nodes["large"].constant
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (constant.dtype, constant.shape, constant.stored) == ("float32", (10 * 2**20,), pytest.approx(40 * 2**20, rel=0.01))
    assert peak < 4 * 2**20
