"""The content of a SavedModel as plain values without protobuf: the input of every check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tfcanary.tf.wire import messages

Shape = tuple[int | None, ...]
"""Sizes of the dimensions; None where any size fits."""

NUMPY_NAMES = {"float": "float32", "double": "float64", "half": "float16"}
PRIVATE = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
"""Signatures for TensorFlow's own use; clients can call every other one."""
VARIABLE_OPERATIONS = frozenset({"VarHandleOp", "VariableV2", "Variable"})


@dataclass(frozen=True, slots=True)
class TensorFact:
    """One input or output of a signature."""

    dtype: str
    """Type of the elements, by NumPy's name where NumPy has the type: float32, int64, string, bfloat16."""
    shape: Shape | None
    """Sizes of the dimensions; None for any rank."""
    tensor: str
    """Name of the tensor in the graph, `node:output`; empty for sparse and composite tensors."""

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"


@dataclass(frozen=True, slots=True)
class SignatureFact:
    """One signature of the model: its inputs, its outputs and its method."""

    inputs: Mapping[str, TensorFact]
    outputs: Mapping[str, TensorFact]
    method: str
    defaults: frozenset[str] = frozenset()
    """Inputs that a request may leave out."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A Const node: the type and shape that it declares, and how many bytes are stored for it."""

    dtype: str
    shape: Shape | None
    stored: int
    """Bytes of the value in the file."""
    text: str | None = None
    """The first element of a string constant."""
    texts: tuple[str, ...] = ()
    """All elements of a string constant, where they are the names of variables in the checkpoint."""
    content: int | None = None
    """Bytes of packed values; None where the values are listed one by one."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph or of a function."""

    name: str
    op: str
    inputs: tuple[str, ...]
    device: str
    functions: tuple[str, ...] = ()
    """The functions that its attributes call."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """The node's short text attributes, by name."""
    dtypes: tuple[str, ...] = ()
    """The types of the node's outputs, from the attribute `dtype` or `Tout`; empty where the node has neither."""
    constant: Constant | None = None
    attributes: tuple[str, ...] = ()
    """The names of all attributes of the node."""
    shape: Shape | None = None
    """The declared shape of a placeholder; None where it takes any shape, and for every other operation."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the graph's library."""

    name: str
    arguments: Mapping[str, int]
    """Position of each argument, by its name."""
    outputs: tuple[str, ...]
    nodes: Mapping[str, Node]
    returns: Mapping[str, str]
    """The tensor inside the function that each output returns, by the name of the output."""
    implements: str = ""
    """Name of the interface that the function implements; TensorFlow may replace it by another function with the same interface."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the graph reads when it is loaded."""

    tensor: str
    filename: str


@dataclass(frozen=True, slots=True)
class SavedModelFacts:
    """The serving graph of a SavedModel."""

    schema: int
    tensorflow_version: str
    """Version of the TensorFlow that exported the model."""
    producer: int
    min_consumer: int
    signatures: Mapping[str, SignatureFact]
    nodes: Mapping[str, Node]
    functions: Mapping[str, Function]
    saver: tuple[str, str, str] = ("", "", "")
    """Names of the file name's tensor, of the tensor that saves, and of the operation that restores."""
    starters: tuple[str, ...] = ()
    """Operations that run at the server's start, after the variables are restored."""
    assets: tuple[Asset, ...] = ()
    layers: tuple[str, ...] = ()
    """Names of the Keras layers that carry Python code."""
    bad_consumers: tuple[int, ...] = ()
    """Graph versions of TensorFlow that must not load the model."""
    gradients: Mapping[str, str] = field(default_factory=dict)
    """The function that computes the gradient of a function, by the name of the latter."""

    def all_nodes(self) -> Iterator[tuple[str, Node]]:
        """Every node, with the name of its function; the name is "" for nodes of the graph itself."""
        yield from (("", node) for node in self.nodes.values())
        for function in self.functions.values():
            yield from ((function.name, node) for node in function.nodes.values())

    @property
    def operations(self) -> Mapping[str, int]:
        """Number of nodes of each operation, functions included."""
        counts: dict[str, int] = {}
        for _, node in self.all_nodes():
            counts[node.op] = counts.get(node.op, 0) + 1
        return counts

    @property
    def variables(self) -> tuple[Node, ...]:
        """The nodes of the graph and its functions that hold variables."""
        return tuple(node for _, node in self.all_nodes() if node.op in VARIABLE_OPERATIONS)

    @property
    def public(self) -> Mapping[str, SignatureFact]:
        """The signatures that clients may call."""
        return {name: one for name, one in self.signatures.items() if name not in PRIVATE}


def dtype_name(number: int) -> str:
    """The name of a type by its number in TensorFlow's messages."""
    if number not in messages.DataType.values():
        return f"type {number}"
    name: str = messages.DataType.Name(number).removeprefix("DT_").lower()
    return NUMPY_NAMES.get(name, name)


def shape_text(shape: Shape | None) -> str:
    """The shape as text, for example `[?,64]`; `of any rank` for None."""
    return "of any rank" if shape is None else "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"
