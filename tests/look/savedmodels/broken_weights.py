"""What can be wrong with weights, assets and warm-up requests: half copies, damage, values that nobody trained."""

import shutil
import struct

from tests.look.savedmodel import tables
from tests.look.savedmodels.edits import INDEX, SHARD, WARMUP, broken, cut, flip, request, warmed
from tfcanary.look.savedmodel.tensor_bundle import read_index


@broken("variables.index is missing")
def index_is_missing(m):
    (m / INDEX).unlink()


@broken("variables.index is missing")
def weights_are_missing(m):
    shutil.rmtree(m / "variables")


@broken("no shard")
def shard_is_missing(m):
    (m / SHARD).unlink()


@broken("shards", base="several_shards")
def one_shard_of_several_is_missing(m):
    sorted((m / "variables").glob("*data*"))[1].unlink()


@broken("beyond the end")
def shard_is_cut_off(m):
    cut(m / SHARD, 0.5)


@broken("bytes that no variable")
def shard_is_too_long(m):
    with (m / SHARD).open("ab") as file:
        file.write(bytes(100_000))


@broken("checksum is wrong")
def weight_is_flipped(m):
    flip(m / SHARD, 9)


@broken("checksum")
def last_weight_is_flipped(m):
    flip(m / SHARD, -3)


@broken("index")
def index_is_flipped(m):
    flip(m / INDEX, 20)


@broken("index")
def index_is_cut_off(m):
    cut(m / INDEX, 0.7)


@broken("index")
def index_is_empty(m):
    (m / INDEX).write_bytes(b"")


@broken("index")
def index_is_of_another_model(m):
    shutil.copy(m.parent / "several_shards" / INDEX, m / INDEX)


@broken("no variable", base="dense")
def weights_are_of_another_model(m):
    for name in (INDEX, SHARD):
        shutil.copy(m.parent / "half_precision" / name, m / name)


def _index(m, **entries):
    (m / INDEX).write_bytes(tables.index(entries))


@broken("does not fit")
def variable_with_another_length(m):
    _index(m, a=tables.entry((4, 3), 12))


@broken("shape")
def variable_of_endless_dimensions(m):
    _index(m, a=tables.entry((1,) * 300, 4))


@broken("does not fit")
def variable_of_negative_size(m):
    _index(m, a=tables.entry((-4, -3), 48))


@broken("bytes of another")
def variables_that_overlap(m):
    _index(m, a=tables.entry((4,), 16, content=(m / SHARD).read_bytes()[:16]), b=tables.entry((4,), 16, offset=8))


@broken("beyond the end")
def variable_before_the_file(m):
    _index(m, a=tables.entry((4,), 16, offset=-16))


@broken("same block")
def index_that_points_in_circles(m):
    (m / INDEX).write_bytes(tables.index({"a": tables.entry((4,), 16)}, repeat=1000))


@broken("shards")
def index_of_many_shards(m):
    (m / INDEX).write_bytes(tables.index({"a": tables.entry((4,), 16)}, shards=5))


def filled(m, value):
    """Every weight the same, with the right checksums."""
    size = (m / SHARD).stat().st_size
    content = struct.pack("<f", value) * (size // 4)
    (m / SHARD).write_bytes(content)
    _index_anew(m, content)


def _index_anew(m, content):
    entries = {
        one.name: tables.entry(one.shape, one.size, offset=one.offset, content=content[one.offset : one.offset + one.size])
        for one in read_index(m / INDEX).entries
        if one.dtype == "float32"
    }
    (m / INDEX).write_bytes(tables.index(entries))


@broken("NaN")
def every_weight_is_nan(m):
    filled(m, float("nan"))


@broken("infinite")
def every_weight_is_infinite(m):
    filled(m, float("inf"))


@broken("every weight is zero")
def every_weight_is_zero(m):
    filled(m, 0.0)


@broken("missing", base="vocabulary_file")
def asset_is_missing(m):
    (m / "assets/vocabulary.txt").unlink()


@broken("directory", base="vocabulary_file")
def asset_is_a_directory(m):
    (m / "assets/vocabulary.txt").unlink()
    (m / "assets/vocabulary.txt").mkdir()
    (m / "assets/vocabulary.txt/x").write_text("x")


@broken("empty", base="vocabulary_file")
def asset_is_empty(m):
    (m / "assets/vocabulary.txt").write_bytes(b"")


@broken("lacks the input")
def warmup_without_an_input(m):
    warmed(m, request(m, name="other"))


@broken("gives 'x' as")
def warmup_of_another_type(m):
    warmed(m, request(m, dtype="DT_INT32"))


@broken("gives 'x' as")
def warmup_of_another_shape(m):
    warmed(m, request(m, shape=(1, 5), values=5))


@broken("values")
def warmup_with_too_few_values(m):
    warmed(m, request(m, shape=(10**9, 4), values=8))


@broken("does not have")
def warmup_for_another_signature(m):
    warmed(m, request(m, asked="other"))


@broken("compressed")
def warmup_that_is_compressed(m):
    warmed(m, request(m), compressed=True)


@broken("1,000")
def warmup_of_too_many_records(m):
    warmed(m, *[request(m)] * 1001)


@broken("PredictionLog")
def warmup_of_rubbish(m):
    warmed(m, b"\xff\xff\xff\xff")


@broken("warmup")
def warmup_is_cut_off(m):
    warmed(m, request(m), request(m))
    cut(m / WARMUP, 0.8)


@broken("warmup")
def warmup_is_flipped(m):
    warmed(m, request(m), request(m))
    flip(m / WARMUP, 40)


@broken("empty record")
def warmup_of_nothing(m):
    warmed(m, b"")


@broken("fingerprint")
def fingerprint_of_rubbish(m):
    (m / "fingerprint.pb").write_bytes(b"\xff" * 40)
