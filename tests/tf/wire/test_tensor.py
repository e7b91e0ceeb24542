"""Tensors read as TensorFlow reads them, and hostile ones are refused before anything is allocated."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import messages, tensor

KINDS = ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16"]


def read_by_tensorflow(proto):
    from tensorflow.core.framework import tensor_pb2
    from tensorflow.python.framework import tensor_util

    return tensor_util.MakeNdarray(tensor_pb2.TensorProto.FromString(proto.SerializeToString()))


def written_by_tensorflow(values, dtype=None, shape=None):
    from tensorflow.python.framework import tensor_util

    return messages.TensorProto.FromString(tensor_util.make_tensor_proto(values, dtype, shape).SerializeToString())


@pytest.mark.parametrize("typed", [False, True], ids=["content", "typed"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_what_tensorflow_reads(tf, kind, typed):
    values = np.array([[0, 1, 2], [3, 100, 7]]).astype(kind)
    proto = tensor.to_proto(values, typed=typed)
    theirs, ours = read_by_tensorflow(proto), tensor.to_array(proto)
    assert theirs.dtype == ours.dtype == values.dtype
    assert (theirs == values).all()
    assert (ours == values).all()
    assert bool(proto.tensor_content) is not typed


@given(
    arrays.arrays(st.sampled_from([np.dtype(kind) for kind in KINDS]), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)),
    st.booleans(),
)
def test_every_array_comes_back(values, typed):
    again = tensor.to_array(tensor.to_proto(values, typed=typed))
    assert again.shape == values.shape
    assert again.tobytes() == values.tobytes() or np.array_equal(again, values, equal_nan=values.dtype.kind in "fc")


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e5m2", "float8_e4m3fn"])
def test_kinds_that_numpy_lacks_read_as_float32(tf, kind):
    dtype = getattr(tf, kind, None) or getattr(tf.dtypes.experimental, kind)
    values = (
        np.arange(256, dtype=np.uint8).view(dtype.as_numpy_dtype)
        if "8_" in kind
        else np.array([1.5, -2, 3e38, np.inf], dtype.as_numpy_dtype)
    )
    ours = tensor.to_array(written_by_tensorflow(values, dtype))
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, values.astype(np.float32))


@pytest.mark.parametrize("kind", ["qint8", "quint8", "qint16", "quint16", "qint32"])
def test_quantised_kinds_read_as_whole_numbers(tf, kind):
    proto = messages.TensorProto(dtype=getattr(tf, kind).as_datatype_enum, int_val=[1, 2, 3])
    proto.tensor_shape.dim.add(size=3)
    assert tensor.to_array(proto).tolist() == [1, 2, 3]


def test_texts_read_from_their_field_and_from_content():
    texts = np.array([[b"a", b""], ["ü".encode(), b"\xff" * 200]], object)
    typed = tensor.to_proto(texts)
    assert tensor.to_array(typed).tolist() == texts.tolist()
    packed = messages.TensorProto(dtype=typed.dtype, tensor_shape=typed.tensor_shape)
    packed.tensor_content = bytes([1, 0, 2, 200, 1]) + b"".join(texts.ravel())
    assert tensor.to_array(packed).tolist() == texts.tolist()


def test_text_of_an_array_of_unicode_is_written_as_utf8():
    assert tensor.to_array(tensor.to_proto(np.array(["ü"]))).tolist() == ["ü".encode()]


def test_the_last_value_stands_for_the_rest(tf):
    proto = messages.TensorProto(dtype=messages.DataType.Value("DT_FLOAT"), float_val=[1.0, 2.0])
    proto.tensor_shape.dim.add(size=5)
    assert tensor.to_array(proto).tolist() == [1, 2, 2, 2, 2] == read_by_tensorflow(proto).tolist()
    del proto.float_val[:]
    assert tensor.to_array(proto).tolist() == [0] * 5


def declared(kind, *sizes, **fields):
    proto = messages.TensorProto(dtype=messages.DataType.Value(kind), **fields)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


REFUSED = {
    "a splat of a tebibyte": (declared("DT_FLOAT", 1 << 40, float_val=[1.0]), "at most"),
    "a product beyond 64 bit": (declared("DT_INT8", 1 << 62, 1 << 62), "at most"),
    "texts beyond the limit": (declared("DT_STRING", 1 << 40), "at most"),
    "a negative size": (declared("DT_FLOAT", -1), "known in full"),
    "no rank": (messages.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}), "unknown"),
    "more dimensions than numpy": (declared("DT_FLOAT", *[1] * 65), "rank 65"),
    "content of another size": (declared("DT_FLOAT", 2, tensor_content=b"1234567"), "7 bytes, not 8"),
    "a resource": (declared("DT_RESOURCE", 1), "DT_RESOURCE"),
    "an unknown kind": (messages.TensorProto(dtype=999), "999"),
    "half a complex number": (declared("DT_COMPLEX64", 1, scomplex_val=[1.0]), "pairs"),
    "a number that does not fit": (declared("DT_INT8", 1, int_val=[300]), "300 does not fit"),
    "a text's length cut off": (declared("DT_STRING", 2, tensor_content=b"\x01"), "cut off"),
    "a text's length without end": (declared("DT_STRING", 1, tensor_content=b"\xff" * 9), "cut off"),
    "a text that is cut off": (declared("DT_STRING", 1, tensor_content=b"\x05ab"), "3 bytes, not 6"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused_with_its_reason(why):
    proto, reason = REFUSED[why]
    with pytest.raises(Refused, match=reason):
        tensor.to_array(proto)


def test_an_array_that_is_no_tensor_is_refused():
    with pytest.raises(Refused, match="datetime64"):
        tensor.to_proto(np.array(["2026-01-01"], "M8[D]"))
    with pytest.raises(Refused, match="neither text nor bytes"):
        tensor.to_proto(np.array([3], object))


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 40))
def test_mutated_protos_are_read_or_refused(noise, at, flip):
    """Whatever bytes parse as a tensor end in an array or in Refused."""
    from google.protobuf.message import DecodeError

    content = bytearray(tensor.to_proto(np.arange(20, dtype=np.float32).reshape(4, 5)).SerializeToString())
    content[at % len(content)] ^= flip
    for mutated in (bytes(content), noise):
        with contextlib.suppress(Refused, DecodeError):
            assert tensor.to_array(messages.TensorProto.FromString(mutated), largest=1 << 20).nbytes <= 1 << 20
