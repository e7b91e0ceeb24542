"""Writes a checkpoint's index the plain way: one block, no shared prefixes."""

import struct

from tfcanary.tf.wire import messages, tfrecord


def varint(number):
    digits = b""
    while number > 127:
        digits, number = digits + bytes([number & 127 | 128]), number >> 7
    return digits + bytes([number])


def masked(content):
    """The checksum as TFRecord and LevelDB write it: the end of a framed record."""
    return tfrecord.frame(content)[-4:]


def block(entries):
    content = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    return content + struct.pack("<II", 0, 1)


def entry(shape, size, offset=0, shard=0, dtype="DT_FLOAT", content=b""):
    made = messages.BundleEntryProto(dtype=messages.DataType.Value(dtype), shard_id=shard, offset=offset, size=size)
    made.shape.dim.extend(messages.TensorShapeProto.Dim(size=one) for one in shape)
    made.crc32c = struct.unpack("<I", masked(content))[0]
    return made


def index(entries, shards=1, kind=0, repeat=1):
    """An index of these tensors; `kind` 1 marks its block as compressed, `repeat` points to it more than once."""
    header = messages.BundleHeaderProto(num_shards=shards).SerializeToString()
    data = block([(b"", header), *((name.encode(), one.SerializeToString()) for name, one in sorted(entries.items()))])
    pointer = varint(0) + varint(len(data))
    pointers = block([(b"%d" % number, pointer) for number in range(repeat)])
    written = b""
    handles = []
    for content in (data, pointers):
        handles.append(varint(len(written)) + varint(len(content)))
        typed = content + bytes([kind])
        written += typed + masked(typed)
    footer = (varint(0) + varint(0) + handles[1]).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    return written + footer
