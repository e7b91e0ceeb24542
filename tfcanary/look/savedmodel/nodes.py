"""Operations and functions of a graph, read one at a time, without the content of their tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from sys import intern
from typing import Any

from tfcanary.look.savedmodel.facts import Constant, Function, Node, Shape, dtype_name
from tfcanary.look.savedmodel.findings import shown
from tfcanary.look.savedmodel.protobuf_walk import BYTES, SMALL, Field, Unreadable, Walk, parse
from tfcanary.tf.wire import messages

ATTRIBUTE = 2**16
"""A larger attribute of a node is looked at piece by piece, in bytes."""
TEXT = 300
"""Bytes of a text attribute or constant that are kept."""
RANK = 254
"""TensorShape::MaxDimensions() in tensorflow/core/framework/tensor_shape.h."""
SHARED = 10_000
"""Different sets of attributes that are remembered."""
NODE_COST = 700
"""Estimated bytes of a node in memory, its texts apart."""


LARGE = "a text too large to be looked at"
"""In place of such a text: a policy must not take it for one that is missing."""
NAMES = "tensor_names"
"""How TensorFlow's saver calls the constant with the names of what it restores."""


def read_function(walk: Walk, one: Field) -> Function:
    """A function with its nodes; raises Unreadable where it is damaged or too large."""
    walk.keep(one.size // 64 + NODE_COST)
    parts: dict[int, list[Field]] = {}
    for part in walk.nested(one, 1, 3, 4, 5, 6):
        parts.setdefault(part.number, []).append(part)
    signature = parse(messages.OpDef, b"".join(map(walk.read, parts.get(1, ()))))
    rest = b"".join(walk.raw(part) for part in (*parts.get(4, ()), *parts.get(6, ())) if part.size <= ATTRIBUTE)
    found = parse(messages.FunctionDef, rest)
    nodes: dict[str, Node] = {}
    for part in parts.get(3, ()):
        add_node(nodes, read_node(walk, part))
    walk.keep(8 * len(rest))
    arguments = {argument.name: position for position, argument in enumerate(signature.input_arg)}
    outputs = tuple(a.name for a in signature.output_arg)
    return Function(
        signature.name, arguments, outputs, nodes, dict(found.ret), tuple(found.control_ret.values()), _implements(walk, parts.get(5, ()))
    )


def _implements(walk: Walk, attributes: Iterable[Field]) -> str:
    """The interface that grappler's implementation selector exchanges functions by."""
    entries = (map_entry(walk, part) for part in attributes)
    found = (walk.parse(messages.AttrValue, value).s for key, value in entries if key == "api_implements" and value is not None)
    return "".join(text[:TEXT].decode(errors="replace") for text in found)


def add_node(nodes: dict[str, Node], node: Node) -> None:
    """Names must differ: TensorFlow refuses the graph otherwise."""
    if not node.name or not node.op:
        raise Unreadable(f"a node without a name or an operation: {shown(node.name)} {shown(node.op)}")
    if node.name in nodes:
        raise Unreadable(f"two nodes are called {shown(node.name)}")
    nodes[node.name] = node


def read_node(walk: Walk, one: Field) -> Node:
    """A node without the content of its tensors."""
    content, large = _without_large(walk, one) if one.size > ATTRIBUTE else (walk.read(one), {})
    found = parse(messages.NodeDef, content)
    attributes = dict(found.attr)
    texts = dict(_texts(attributes)) | _large_texts(walk, large, attributes)
    walk.keep(NODE_COST + 2 * sum(map(len, found.input)) + 60 * len(found.input) + 2 * sum(map(len, texts.values())))
    return Node(
        name=found.name,
        op=intern(found.op),
        inputs=tuple(map(intern, found.input)),
        device=intern(found.device),
        functions=tuple(_functions(attributes.values())),
        texts=texts,
        dtypes=_dtypes(attributes),
        constant=_constant(walk, found.name, attributes, large) if found.op == "Const" else None,
        attributes=_shared((*attributes, *large)),
        shape=shape_of(attributes["shape"].shape) if found.op == "Placeholder" and "shape" in attributes else None,
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
        if kind == "s" and value.s:
            yield key, value.s[:TEXT].decode(errors="replace")
        elif kind == "list" and value.list.s:
            yield key, b"\n".join(value.list.s)[:TEXT].decode(errors="replace")


def _large_texts(walk: Walk, large: Mapping[str, Field], attributes: dict[str, Any]) -> dict[str, str]:
    """What large attributes say, tensors and texts apart, goes to the others: a function must not hide behind its size."""
    texts = {}
    for key, value in large.items():
        kinds = {part.number for part in walk.fields(value)}
        if kinds & {1, 9, 10}:
            attributes[key] = walk.parse(messages.AttrValue, value)
        elif 2 in kinds:
            texts[key] = LARGE
    return texts


def _functions(attributes: Iterable[Any]) -> Iterator[str]:
    """Functions that attributes name, also those that are arguments of a function."""
    for value in attributes:
        kind = value.WhichOneof("value")
        for one in (value.func,) if kind == "func" else value.list.func if kind == "list" else ():
            yield one.name
            yield from _functions(one.attr.values())


_SHARED: dict[tuple[str, ...], tuple[str, ...]] = {}


def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same tuple for the same names: a graph has many nodes of few kinds."""
    if len(_SHARED) > SHARED:
        _SHARED.clear()
    return _SHARED.setdefault(names, names)


def _dtypes(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    if "Tout" in attributes:
        return tuple(dtype_name(number) for number in attributes["Tout"].list.type)
    return (dtype_name(attributes["dtype"].type),) if "dtype" in attributes else ()


def _constant(walk: Walk, name: str, attributes: Mapping[str, Any], large: Mapping[str, Field]) -> Constant:
    if "value" in large:
        return _large_constant(walk, name, large["value"])
    tensor = attributes["value"].tensor if "value" in attributes else messages.TensorProto()
    text = tensor.string_val[0][:TEXT].decode(errors="replace") if tensor.string_val else None
    content = len(tensor.tensor_content) or None
    return Constant(dtype_name(tensor.dtype), shape_of(tensor.tensor_shape), tensor.ByteSize(), text, _names(walk, name, tensor), content)


def _names(walk: Walk, node: str, tensor: Any) -> tuple[str, ...]:
    """What a checkpoint is asked for."""
    if not node.endswith(NAMES):
        return ()
    walk.keep(sum(map(len, tensor.string_val)) + 100 * len(tensor.string_val))
    return tuple(one.decode(errors="replace") for one in tensor.string_val)


def _large_constant(walk: Walk, name: str, value: Field) -> Constant:
    """Type and shape of a tensor whose content is stepped over."""
    pieces = [
        walk.raw(part)
        for tensor in walk.nested(value, 8)
        for part in walk.fields(tensor)
        if part.number in (1, 2) and part.size <= ATTRIBUTE
    ]
    found = parse(messages.TensorProto, b"".join(pieces))
    names: tuple[str, ...] = ()
    if name.endswith(NAMES) and value.size <= SMALL:
        names = _names(walk, name, walk.parse(messages.AttrValue, value).tensor)
    content = sum(part.size for tensor in walk.nested(value, 8) for part in walk.nested(tensor, 4)) or None
    return Constant(dtype_name(found.dtype), shape_of(found.tensor_shape), value.size, texts=names, content=content)


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
