"""Operations and functions of a graph, read one at a time, without the content of their tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from sys import intern
from typing import Any

from tfcanary.savedmodel.facts import Constant, Function, Node, Shape, dtype_name
from tfcanary.savedmodel.findings import shown
from tfcanary.savedmodel.walk import BYTES, SMALL, Field, Unreadable, Walk, parse
from tfcanary.wire import messages

ATTRIBUTE = 2**16
"""A larger attribute of a node is looked at piece by piece, in bytes."""
TEXT = 300
"""Bytes of a text attribute or constant that are kept."""
RANK = 254
"""TensorShape::MaxDimensions() in tensorflow/core/framework/tensor_shape.h."""
NODE_COST = 700
"""Estimated bytes of a node in memory, its texts apart."""


def read_function(walk: Walk, one: Field) -> Function:
    """A function with its nodes; raises Unreadable where it is damaged or too large."""
    walk.keep(one.size // 64 + NODE_COST)
    signature = parse(messages.OpDef, b"".join(walk.read(part) for part in walk.nested(one, 1)))
    rest = b"".join(walk.raw(part) for part in walk.nested(one, 4, 6) if part.size <= ATTRIBUTE)
    found = parse(messages.FunctionDef, rest)
    nodes: dict[str, Node] = {}
    for part in walk.nested(one, 3):
        add_node(nodes, read_node(walk, part))
    walk.keep(8 * len(rest))
    arguments = {argument.name: position for position, argument in enumerate(signature.input_arg)}
    outputs = tuple(a.name for a in signature.output_arg)
    return Function(signature.name, arguments, outputs, nodes, dict(found.ret), tuple(found.control_ret.values()))


def add_node(nodes: dict[str, Node], node: Node) -> None:
    """Names must differ: TensorFlow refuses the graph otherwise."""
    if node.name in nodes:
        raise Unreadable(f"two nodes are called {shown(node.name)}")
    nodes[node.name] = node


def read_node(walk: Walk, one: Field) -> Node:
    """A node without the content of its tensors."""
    content, large = _without_large(walk, one) if one.size > ATTRIBUTE else (walk.read(one), {})
    found = parse(messages.NodeDef, content)
    attributes = dict(found.attr)
    texts = dict(_texts(attributes))
    walk.keep(NODE_COST + 2 * sum(map(len, found.input)) + 60 * len(found.input) + 2 * sum(map(len, texts.values())))
    return Node(
        name=found.name,
        op=intern(found.op),
        inputs=tuple(map(intern, found.input)),
        device=intern(found.device),
        functions=tuple(_functions(attributes.values())),
        texts=texts,
        dtypes=_dtypes(attributes),
        constant=_constant(walk, attributes, large) if found.op == "Const" else None,
    )


def _without_large(walk: Walk, node: Field) -> tuple[bytes, dict[str, Field]]:
    """The bytes of a node without its large attributes, and where the values of these lie."""
    parts = list(walk.fields(node))
    apart = [part for part in parts if part.kind == BYTES and part.number == 5 and part.size > ATTRIBUTE]
    rest = [part for part in parts if part not in apart]
    if (size := sum(part.end - part.at for part in rest)) > SMALL:
        raise Unreadable(f"the node at byte {node.at} has {size:,} bytes besides its tensors")
    entries = (map_entry(walk, part) for part in apart)
    return b"".join(map(walk.raw, rest)), {key: value for key, value in entries if value is not None}


def _texts(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Short texts, and lists of them as one text a line: what the policy on operations asks for."""
    for key, value in attributes.items():
        kind = value.WhichOneof("value")
        if kind == "s" and 0 < len(value.s) <= TEXT:
            yield key, value.s.decode(errors="replace")
        elif kind == "list" and value.list.s:
            yield key, b"\n".join(value.list.s)[:TEXT].decode(errors="replace")


def _functions(attributes: Iterable[Any]) -> Iterator[str]:
    for value in attributes:
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func.name
        elif kind == "list":
            yield from (one.name for one in value.list.func)


def _dtypes(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    if "Tout" in attributes:
        return tuple(dtype_name(number) for number in attributes["Tout"].list.type)
    return (dtype_name(attributes["dtype"].type),) if "dtype" in attributes else ()


def _constant(walk: Walk, attributes: Mapping[str, Any], large: Mapping[str, Field]) -> Constant:
    if "value" in large:
        return _large_constant(walk, large["value"])
    tensor = attributes["value"].tensor if "value" in attributes else messages.TensorProto()
    text = tensor.string_val[0][:TEXT].decode(errors="replace") if tensor.string_val else None
    return Constant(dtype_name(tensor.dtype), shape_of(tensor.tensor_shape), tensor.ByteSize(), text)


def _large_constant(walk: Walk, value: Field) -> Constant:
    """Type and shape of a tensor whose content is stepped over."""
    pieces = [
        walk.raw(part)
        for tensor in walk.nested(value, 8)
        for part in walk.fields(tensor)
        if part.number in (1, 2) and part.size <= ATTRIBUTE
    ]
    found = parse(messages.TensorProto, b"".join(pieces))
    return Constant(dtype_name(found.dtype), shape_of(found.tensor_shape), value.size)


def shape_of(found: Any) -> Shape | None:
    """The shape in a TensorShapeProto."""
    if len(found.dim) > RANK:
        raise Unreadable(f"a shape of {len(found.dim):,} dimensions; TensorFlow knows {RANK}")
    return None if found.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in found.dim)


def map_entry(walk: Walk, entry: Field) -> tuple[str, Field | None]:
    """Key and value of a map's entry; where one occurs twice, the last."""
    parts = {one.number: one for one in walk.nested(entry, 1, 2)}
    try:
        return (walk.read(parts[1], TEXT).decode() if 1 in parts else ""), parts.get(2)
    except UnicodeDecodeError as error:
        raise Unreadable(f"damaged: the name at byte {entry.at} is not UTF-8") from error
