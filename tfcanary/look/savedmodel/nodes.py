"""Reads the operations and functions of a graph, one at a time and without the content of their tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from sys import intern
from typing import Any

from tfcanary.look.savedmodel.facts import Constant, Function, Node, Shape, dtype_name
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.savedmodel.protobuf_walk import BYTES, SMALL, Field, Unreadable, Walk, parse
from tfcanary.tf.wire import messages

ATTRIBUTE = 2**16
"""Bytes of an attribute of a node beyond which it is read piece by piece."""
TEXT = 300
"""Bytes of a text attribute or of a text constant that are kept; the rest is cut."""
RANK = 254
"""Largest number of dimensions of a tensor: TensorShape::MaxDimensions() in tensorflow/core/framework/tensor_shape.h."""
CACHE_SIZE = 10_000
"""Largest number of distinct attribute lists in the cache."""
NODE_COST = 700
"""Estimated bytes of a node in memory without its texts."""
LARGE = "a text too large to be read"
"""Stands in place of such a text, so that a check does not take the text for a missing one."""
NAMES = "tensor_names"
"""End of the name of the constant in which TensorFlow's saver lists the variables that it restores."""


def read_function(walk: Walk, one: Field) -> Function:
    """Read a function with its nodes. Raises Unreadable where the function is damaged or too large."""
    walk.keep(one.size // 64 + NODE_COST)
    parts: dict[int, list[Field]] = {}
    for part in walk.nested(one, 1, 3, 4, 5):
        parts.setdefault(part.number, []).append(part)
    signature = parse(messages.OpDef, b"".join(map(walk.read, parts.get(1, ()))))
    rest = b"".join(walk.raw(part) for part in parts.get(4, ()) if part.size <= ATTRIBUTE)
    found = parse(messages.FunctionDef, rest)
    nodes: dict[str, Node] = {}
    for part in parts.get(3, ()):
        add_node(nodes, read_node(walk, part))
    walk.keep(8 * len(rest))
    arguments = {argument.name: position for position, argument in enumerate(signature.input_arg)}
    outputs = tuple(a.name for a in signature.output_arg)
    return Function(signature.name, arguments, outputs, nodes, dict(found.ret), _implements(walk, parts.get(5, ())))


def _implements(walk: Walk, attributes: Iterable[Field]) -> str:
    """The interface by which grappler's implementation selector replaces one function by another."""
    entries = (map_entry(walk, part) for part in attributes)
    found = (walk.parse(messages.AttrValue, value).s for key, value in entries if key == "api_implements" and value is not None)
    return "".join(text[:TEXT].decode(errors="replace") for text in found)


def add_node(nodes: dict[str, Node], node: Node) -> None:
    """Add a node to a graph. Raises Unreadable where its name or operation is empty, or the name occurs twice: TensorFlow refuses both."""
    if not node.name or not node.op:
        raise Unreadable(f"a node without a name or an operation: {quote(node.name)} {quote(node.op)}")
    if node.name in nodes:
        raise Unreadable(f"two nodes are called {quote(node.name)}")
    nodes[node.name] = node


def read_node(walk: Walk, one: Field) -> Node:
    """Read a node without the content of its tensors. Raises Unreadable where the node is damaged or too large."""
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
        attributes=_cached((*attributes, *large)),
        shape=shape_of(attributes["shape"].shape) if found.op == "Placeholder" and "shape" in attributes else None,
    )


def _without_large(walk: Walk, node: Field) -> tuple[bytes, dict[str, Field]]:
    """The bytes of a node without its large attributes, and the places of the values of these attributes in the file."""
    parts = list(walk.fields(node))
    large = [part for part in parts if part.kind == BYTES and part.number == 5 and part.size > ATTRIBUTE]
    rest = [part for part in parts if part not in large]
    if (size := sum(part.end - part.at for part in rest)) > SMALL:
        raise Unreadable(f"the node at byte {node.at} has {size:,} bytes besides its tensors")
    entries = (map_entry(walk, part) for part in large)
    return b"".join(map(walk.raw, rest)), {key: value for key, value in entries if value is not None}


def _texts(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The text attributes by name, cut to TEXT bytes; a list of texts is one text with a line each."""
    for key, value in attributes.items():
        kind = value.WhichOneof("value")
        if kind == "s" and value.s:
            yield key, value.s[:TEXT].decode(errors="replace")
        elif kind == "list" and value.list.s:
            yield key, b"\n".join(value.list.s)[:TEXT].decode(errors="replace")


def _large_texts(walk: Walk, large: Mapping[str, Field], attributes: dict[str, Any]) -> dict[str, str]:
    """The texts of large attributes; lists, functions and placeholders among them are parsed into `attributes`.

    So the size of an attribute cannot hide a function from the checks. Tensors are skipped.
    """
    texts = {}
    for key, value in large.items():
        kinds = {part.number for part in walk.fields(value)}
        if kinds & {1, 9, 10}:
            attributes[key] = walk.parse(messages.AttrValue, value)
        elif 2 in kinds:
            texts[key] = LARGE
    return texts


def _functions(attributes: Iterable[Any]) -> Iterator[str]:
    """The functions that attributes name, including those that are attributes of another function."""
    for value in attributes:
        kind = value.WhichOneof("value")
        for one in (value.func,) if kind == "func" else value.list.func if kind == "list" else ():
            yield one.name
            yield from _functions(one.attr.values())


_CACHE: dict[tuple[str, ...], tuple[str, ...]] = {}


def _cached(names: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple object for equal names, which saves memory: a graph has many nodes of few kinds."""
    if len(_CACHE) > CACHE_SIZE:
        _CACHE.clear()
    return _CACHE.setdefault(names, names)


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
    """The texts of a constant that lists names of variables in the checkpoint; empty for every other constant."""
    if not node.endswith(NAMES):
        return ()
    walk.keep(sum(map(len, tensor.string_val)) + 100 * len(tensor.string_val))
    return tuple(one.decode(errors="replace") for one in tensor.string_val)


def _large_constant(walk: Walk, name: str, value: Field) -> Constant:
    """A constant from the type and shape of its tensor, without reading the content."""
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
    """The shape in a TensorShapeProto. Raises Unreadable where it has more dimensions than TensorFlow supports."""
    if len(found.dim) > RANK:
        raise Unreadable(f"a shape of {len(found.dim):,} dimensions; TensorFlow supports {RANK}")
    return None if found.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in found.dim)


def map_entry(walk: Walk, entry: Field) -> tuple[str, Field | None]:
    """Key and value of the entry of a map; of a field that occurs twice, the last one. Raises Unreadable where the key is not UTF-8."""
    parts = {one.number: one for one in walk.nested(entry, 1, 2)}
    try:
        return (walk.read(parts[1], TEXT).decode() if 1 in parts else ""), parts.get(2)
    except UnicodeDecodeError as error:
        raise Unreadable(f"damaged: the name at byte {entry.at} is not UTF-8") from error
