"""The protobuf messages of TensorFlow, TF Serving and SavedModel, without TensorFlow.

Each message and each enum of `protos/` is an attribute of this module: `messages.SavedModel` and `messages.PredictRequest`
are message classes, `messages.DataType` maps the names of an enum to its numbers. The sources in `protos/` have the full
names and the field numbers of the originals, so bytes, JSON and text format are the originals', too. A field that the
sources do not list is kept, as an unknown field, when a message is written again. `make protos` compiles the sources into
the one binary file that is read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

DESCRIPTORS = Path(__file__).parent / "protos" / "messages.binpb"
"""The FileDescriptorSet that `make protos` writes."""

PACKAGES = ("tensorflow.error", "tensorflow", "tensorflow.serving", "third_party.tensorflow.python.keras.protobuf")
"""The packages in which a name is looked up, in this order: `SavedObject` is TensorFlow's, not Keras's."""


def __getattr__(name: str) -> Any:
    """Return the message or enum `name`; raises AttributeError where no package has it."""
    for package in PACKAGES:
        if (result := _look_up(f"{package}.{name}")) is not None:
            globals()[name] = result
            return result
    raise AttributeError(f"module {__name__!r} has no message {name!r}")


def __dir__() -> list[str]:
    """List the messages and the enums that the sources define at top level, and `POOL`."""
    files = [file for file in _descriptors().file if file.package in PACKAGES]
    return sorted({one.name for file in files for one in (*file.message_type, *file.enum_type)} | {"POOL"})


def _look_up(full_name: str) -> Any | None:
    try:
        return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))
    except KeyError:
        pass
    try:
        return EnumTypeWrapper(POOL.FindEnumTypeByName(full_name))
    except KeyError:
        return None


def _descriptors() -> Any:
    return descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())


def _pool() -> descriptor_pool.DescriptorPool:
    """Return a pool of its own: in the default one these descriptors would collide with an imported TensorFlow's."""
    pool = descriptor_pool.DescriptorPool()
    for file in _descriptors().file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _pool()
"""The pool of these descriptors; json_format and text_format need it for the content of an Any."""
