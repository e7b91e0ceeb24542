import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.look.savedmodel.asked import ask, refuses
from tests.look.savedmodel.tables import entry, index, masked, varint
from tests.look.savedmodel.test_reader import saved
from tfcanary.core.domain import Finding
from tfcanary.look.savedmodel import variables
from tfcanary.look.savedmodel.tensor_bundle import read_index

INDEX = "variables/variables.index"
SHARD = "variables/variables.data-00000-of-00001"


def test_a_missing_index_fails_because_a_server_would_load_it_and_then_fail_every_request(copy):
    model = copy()
    (model / INDEX).unlink()
    refuses(ask(model, "variables"), "variables.index is missing although the graph has 2 variables")


def test_a_missing_shard_fails(copy):
    model = copy()
    (model / SHARD).rename(model / "variables/variables.data-00000-of-00002")
    refuses(ask(model, "variables"), "incomplete")
    (model / "variables/variables.data-00000-of-00002").unlink()
    refuses(ask(model, "variables"), "no shard")


def test_a_model_of_constants_needs_no_weights(models):
    assert ask(models / "frozen", "variables").finding is Finding.PASS


def test_the_index_says_what_tensorflow_wrote(models):
    index = read_index(models / "good" / INDEX)
    assert index.shards == 1
    found = {one.name: (one.dtype, one.shape, one.size) for one in index.entries if one.dtype == "float32"}
    assert found == {
        "first/.ATTRIBUTES/VARIABLE_VALUE": ("float32", (64, 32), 8192),
        "final/.ATTRIBUTES/VARIABLE_VALUE": ("float32", (32, 10), 1280),
    }


def test_complete_weights_are_counted(models):
    evidence = ask(models / "good", "variables")
    assert evidence.finding is Finding.PASS
    assert evidence.figures["parameters"] == 64 * 32 + 32 * 10


@pytest.mark.parametrize("size", [0, 1, 4000, 9471])
def test_a_shard_that_is_cut_off_fails(copy, size):
    model = copy()
    (model / SHARD).write_bytes((model / SHARD).read_bytes()[:size])
    refuses(ask(model, "variables"), "beyond the end of its shard")


def test_a_flipped_bit_in_the_weights_fails(copy):
    model = copy()
    content = bytearray((model / SHARD).read_bytes())
    content[5000] ^= 1
    (model / SHARD).write_bytes(content)
    refuses(ask(model, "variables"), "is damaged: its checksum is wrong")


def test_weights_are_looked_at_piece_by_piece(copy, monkeypatch):
    monkeypatch.setattr(variables, "PIECE", 1000)
    model = copy("sick")
    refuses(ask(model, "variables"), "has 3 NaN")
    model = copy("good")
    assert ask(model, "variables").finding is Finding.PASS
    content = bytearray((model / SHARD).read_bytes())
    content[9000] ^= 1
    (model / SHARD).write_bytes(content)
    refuses(ask(model, "variables"), "is damaged")


def forget_the_checkpoint(message):
    """So that the graph asks the index for nothing."""
    for function in message.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.name.endswith("tensor_names"):
                del node.attr["value"].tensor.string_val[:]


NUMBERS = struct.pack("<4f", 1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("written", "finding", "words"),
    [
        (index({"w": entry((2, 2), 16, content=NUMBERS)}), Finding.PASS, "1 tensors with 4 parameters"),
        (index({"w": entry((2, 3), 16, content=NUMBERS)}), Finding.FAIL, "float32 [2, 3] does not fit into its 16 bytes"),
        (index({"w": entry((-1,), 16, content=NUMBERS)}), Finding.FAIL, "does not fit"),
        (index({"w": entry((2**62,) * 30, 16, content=NUMBERS)}), Finding.FAIL, "does not fit"),
        (index({"w": entry((4,), 16, offset=-4, content=NUMBERS)}), Finding.FAIL, "beyond the end"),
        (index({"w": entry((4,), 16, shard=1, content=NUMBERS)}), Finding.FAIL, "beyond the end"),
        (index({name: entry((4,), 16, content=NUMBERS) for name in "vw"}), Finding.FAIL, "'w' overlaps the bytes of another variable"),
        (index({"w": entry((1,) * 255, 4, content=NUMBERS[:4])}), Finding.FAIL, "a shape of 255 dimensions"),
        (index({}, shards=2), Finding.FAIL, "names 2 shards, but there are 1"),
        (index({}, kind=1), Finding.WARN, "is compressed, as TensorFlow 1 wrote it"),
        (index({}, repeat=1000), Finding.FAIL, "points to the same block more than once"),
    ],
)
def test_an_index_is_believed_only_where_it_fits_the_bytes(copy, written, finding, words):
    model = copy("frozen")
    (model / INDEX).write_bytes(written)
    (model / SHARD).write_bytes(NUMBERS)
    evidence = ask(saved(model, forget_the_checkpoint), "variables")
    assert evidence.finding is finding, evidence
    assert words in evidence.reason, evidence


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), kind=st.integers(0, 1))
def test_whatever_the_index_is_the_gate_answers(models, tmp_path_factory, content, kind):
    model = tmp_path_factory.mktemp("mutated")
    (model / "variables").mkdir()
    (model / "saved_model.pb").write_bytes((models / "good/saved_model.pb").read_bytes())
    (model / SHARD).write_bytes(NUMBERS)
    typed = content + bytes([kind])
    handles = varint(0) + varint(0) + varint(0) + varint(len(content))
    footer = handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    (model / INDEX).write_bytes(typed + masked(typed) + footer)
    assert ask(model, "variables").finding in (Finding.FAIL, Finding.WARN)


def test_an_index_damaged_anywhere_fails(copy):
    model = copy()
    content = (model / INDEX).read_bytes()
    for at in range(0, len(content), 7):
        (model / INDEX).write_bytes(content[:at])
        refuses(ask(model, "variables"), "variables.index")
        (model / INDEX).write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        assert ask(model, "variables").finding in (Finding.FAIL, Finding.PASS)  # some bytes of the footer are padding


def test_weights_of_another_model_fail(models, copy):
    model = copy("words")
    (model / SHARD).write_bytes((models / "good" / SHARD).read_bytes())
    refuses(ask(model, "variables"), "checksum is wrong")


@pytest.mark.parametrize(
    ("name", "finding", "words"),
    [("sick", Finding.FAIL, "has 3 NaN"), ("endless_weights", Finding.WARN, "has 1 infinite"), ("blank", Finding.WARN, "holds only zeros")],
)
def test_weights_that_are_no_numbers_are_named(models, name, finding, words):
    evidence = ask(models / name, "variables")
    assert evidence.finding is finding
    assert words in evidence.reason


def test_half_precision_weights_are_looked_at_too(models):
    refuses(ask(models / "sick_half", "variables"), "NaN")
    refuses(ask(models / "sick_bfloat", "variables"), "NaN")
