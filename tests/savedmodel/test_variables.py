import pytest

from tests.savedmodel.asked import ask, refuses
from tfcanary.domain import Finding
from tfcanary.savedmodel.checkpoint import read_index

INDEX = "variables/variables.index"
SHARD = "variables/variables.data-00000-of-00001"


def test_a_missing_index_fails_because_a_server_would_load_it_and_then_fail_every_request(copy):
    model = copy()
    (model / INDEX).unlink()
    refuses(ask(model, "variables"), "variables.index is missing although the graph has 2 variables")


def test_a_missing_shard_fails(copy):
    model = copy()
    (model / SHARD).rename(model / "variables/variables.data-00000-of-00002")
    refuses(ask(model, "variables"), "not complete")
    (model / "variables/variables.data-00000-of-00002").unlink()
    refuses(ask(model, "variables"), "no shard")


def test_a_model_of_constants_needs_no_weights(models):
    assert ask(models / "frozen", "variables").finding is Finding.PASS


def test_the_index_says_what_tensorflow_wrote(models):
    index = read_index(models / "good" / INDEX)
    assert index.shards == 1
    assert {(one.dtype, one.shape, one.size) for one in index.entries} >= {("float32", (64, 32), 8192), ("float32", (32, 10), 1280)}


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
    [("sick", Finding.FAIL, "has 3 NaN"), ("endless_weights", Finding.WARN, "has 1 infinite"), ("blank", Finding.WARN, "is all zeros")],
)
def test_weights_that_are_no_numbers_are_named(models, name, finding, words):
    evidence = ask(models / name, "variables")
    assert evidence.finding is finding
    assert words in evidence.reason


def test_half_precision_weights_are_looked_at_too(models):
    refuses(ask(models / "sick_half", "variables"), "NaN")
    refuses(ask(models / "sick_bfloat", "variables"), "NaN")
