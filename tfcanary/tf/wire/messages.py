"""TensorFlow's, TF Serving's and SavedModel's message classes, without TensorFlow.

`messages.SavedModel`, `messages.PredictRequest`, `messages.DataType`: each name of `tables` is an attribute. The classes
live in a descriptor pool of their own, so an installed TensorFlow never collides with them; bytes, JSON and text format
are the originals'. Used by everything that speaks to a model server or looks into a SavedModel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from tfcanary.tf.wire.tables import TABLES

_Field = descriptor_pb2.FieldDescriptorProto
_SHARED = ("tensorflow", "google.protobuf")
_SPLIT = re.compile(r",\s+")
_MAP = re.compile(r"\{(\w+):([\w.]+)\}")


def __getattr__(name: str) -> Any:
    """The message class or enum of that name; raises AttributeError where the tables have none."""
    for package in TABLES:
        full_name = f"{package}.{name}"
        if full_name in _KINDS:
            found = _class(full_name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no message {name!r}")


def __dir__() -> list[str]:
    """The names that the tables define at top level."""
    packages = sorted(TABLES, key=len, reverse=True)
    names = (full_name.removeprefix(f"{package}.") for full_name in _KINDS for package in packages if full_name.startswith(f"{package}."))
    return sorted({name for name in names if "." not in name} | {"POOL"})


def _class(full_name: str) -> Any:
    if _KINDS[full_name] == _Field.TYPE_ENUM:
        return EnumTypeWrapper(POOL.FindEnumTypeByName(full_name))
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))


def _definitions(table: str) -> Iterator[tuple[str, list[list[str]]]]:
    for line in table.replace("\n    ", " ").strip().splitlines():
        name, _, entries = line.partition(":")
        yield name, [entry.split() for entry in _SPLIT.split(entries.strip()) if entry]


def _kinds() -> dict[str, int]:
    """Every type by its full name: a message or an enum."""
    kinds = {f"google.protobuf.{name}": _Field.TYPE_MESSAGE for name in ("Any", "BoolValue", "Int64Value", "StringValue")}
    for package, table in TABLES.items():
        for name, _ in _definitions(table):
            kind = _Field.TYPE_ENUM if name.startswith("enum ") else _Field.TYPE_MESSAGE
            kinds[f"{package}.{name.removeprefix('enum ')}"] = kind
    return kinds


def _resolve(scope: str, name: str) -> str:
    """The full name of a type, looked up from the inside out."""
    while scope:
        if f"{scope}.{name}" in _KINDS:
            return f"{scope}.{name}"
        scope = scope.rpartition(".")[0]
    return next(f"{package}.{name}" for package in _SHARED if f"{package}.{name}" in _KINDS)


def _describe(package: str, table: str, before: list[str]) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3", dependency=before)
    for name, entries in _definitions(table):
        is_enum = name.startswith("enum ")
        *outer, own = name.removeprefix("enum ").split(".")
        parent: Any = file
        for part in outer:
            parent = next(message for message in _nested(parent) if message.name == part)
        if is_enum:
            parent.enum_type.add(name=own, value=[{"name": value, "number": int(number)} for value, number in entries])
        else:
            message = _nested(parent).add(name=own)
            for entry in entries:
                _add_field(message, f"{package}.{name}", entry)
            _add_presence(message)
    return file


def _nested(parent: Any) -> Any:
    return parent.message_type if isinstance(parent, descriptor_pb2.FileDescriptorProto) else parent.nested_type


def _add_field(message: Any, scope: str, entry: list[str]) -> None:
    name, kind, number, *mark = entry
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if pair := _MAP.fullmatch(kind):
        item = message.nested_type.add(name=name.title().replace("_", "") + "Entry", options={"map_entry": True})
        _add_field(item, scope, ["key", pair[1], "1"])
        _add_field(item, scope, ["value", pair[2], "2"])
        field.label, field.type, field.type_name = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE, f".{scope}.{item.name}"
        return
    if kind.startswith("["):
        field.label = _Field.LABEL_REPEATED
    _set_type(field, scope, kind.strip("[]"))
    if mark == ["?"]:
        field.proto3_optional = True
    elif mark == ["!"]:
        field.json_name = name
    elif mark:
        field.oneof_index = _oneof(message, mark[0].removeprefix("@"))


def _set_type(field: Any, scope: str, kind: str) -> None:
    if scalar := getattr(_Field, f"TYPE_{kind.upper()}", None):
        field.type = scalar
        return
    full_name = _resolve(scope, kind)
    field.type, field.type_name = _KINDS[full_name], f".{full_name}"


def _oneof(message: Any, name: str) -> int:
    names = [oneof.name for oneof in message.oneof_decl]
    if name not in names:
        message.oneof_decl.add(name=name)
        names.append(name)
    return names.index(name)


def _add_presence(message: Any) -> None:
    """An explicit `optional` is a oneof of one; these come after the real ones."""
    for field in message.field:
        if field.proto3_optional:
            field.oneof_index = _oneof(message, f"_{field.name}")


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    before = []
    for shared in (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR):
        pool.AddSerializedFile(shared.serialized_pb)
        before.append(shared.name)
    for package, table in TABLES.items():
        file = _describe(package, table, before)
        pool.AddSerializedFile(file.SerializeToString())
        before.append(file.name)
    return pool


_KINDS = _kinds()
POOL = _pool()
"""The descriptors; json_format and text_format need it to look into an Any."""
