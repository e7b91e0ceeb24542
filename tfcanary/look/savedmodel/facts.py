"""What is known of a SavedModel once it has been read: values without protobuf, for every check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tfcanary.look.savedmodel.findings import shown
from tfcanary.tf.wire import messages

Shape = tuple[int | None, ...]
"""Dimensions; None where any size fits."""

NUMPY_NAMES = {"float": "float32", "double": "float64", "half": "float16"}
PRIVATE = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
"""Signatures that TensorFlow keeps for itself; whatever else is there can be asked for."""
VARIABLE_OPERATIONS = frozenset({"VarHandleOp", "VariableV2", "Variable"})


@dataclass(frozen=True, slots=True)
class TensorFact:
    """One input or output of a signature."""

    dtype: str
    """NumPy's name where there is one: float32, int64, string, bfloat16."""
    shape: Shape | None
    """None: any rank."""
    tensor: str
    """`node:output` in the graph; empty for sparse and composite tensors."""

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"


@dataclass(frozen=True, slots=True)
class SignatureFact:
    """One way to ask the model."""

    inputs: Mapping[str, TensorFact]
    outputs: Mapping[str, TensorFact]
    method: str
    defaults: frozenset[str] = frozenset()
    """Inputs that a request may leave out."""


@dataclass(frozen=True, slots=True)
class Constant:
    """What a Const node declares, against what is stored for it."""

    dtype: str
    shape: Shape | None
    stored: int
    """Bytes in the file."""
    text: str | None = None
    """The first element of a string constant."""
    texts: tuple[str, ...] = ()
    """All of them, where they are the names of what a checkpoint holds."""
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
    """Its short text attributes."""
    dtypes: tuple[str, ...] = ()
    """The types of its outputs, where an attribute says them: `dtype`, or `Tout`."""
    constant: Constant | None = None
    attributes: tuple[str, ...] = ()
    """The names of all its attributes."""
    shape: Shape | None = None
    """Of a placeholder; None where it takes any."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the graph's library."""

    name: str
    arguments: Mapping[str, int]
    """Their positions by name."""
    outputs: tuple[str, ...]
    nodes: Mapping[str, Node]
    returns: Mapping[str, str]
    """Output to the tensor in the function that it is."""
    controls: tuple[str, ...] = ()
    """Nodes that run whatever is asked for."""
    implements: str = ""
    """TensorFlow may exchange functions that implement the same interface."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the graph reads when it is loaded."""

    tensor: str
    filename: str


@dataclass(frozen=True, slots=True)
class SavedModelFacts:
    """The serving graph of a SavedModel."""

    tags: tuple[frozenset[str], ...]
    """Of every meta graph in the file; the facts below are of the one for serving."""
    schema: int
    tensorflow_version: str
    """That exported it."""
    producer: int
    min_consumer: int
    signatures: Mapping[str, SignatureFact]
    nodes: Mapping[str, Node]
    functions: Mapping[str, Function]
    saver: tuple[str, str, str] = ("", "", "")
    """Tensor of the file name, tensor that saves, operation that restores."""
    starters: tuple[str, ...] = ()
    """Operations that run once the variables are restored."""
    assets: tuple[Asset, ...] = ()
    layers: tuple[str, ...] = ()
    """Keras layers that carry Python code."""
    bad_consumers: tuple[int, ...] = ()
    """Versions of TensorFlow that must not load it."""
    gradients: Mapping[str, str] = field(default_factory=dict)
    """Function to the function that is its gradient."""
    warmup: bool = False
    """Whether there are requests that the server sends itself before it becomes available."""

    def all_nodes(self) -> Iterator[tuple[str, Node]]:
        """Every node with the function it lies in, "" for the graph itself."""
        yield from (("", node) for node in self.nodes.values())
        for function in self.functions.values():
            yield from ((function.name, node) for node in function.nodes.values())

    @property
    def operations(self) -> Mapping[str, int]:
        """How often each operation occurs."""
        counts: dict[str, int] = {}
        for _, node in self.all_nodes():
            counts[node.op] = counts.get(node.op, 0) + 1
        return counts

    @property
    def variables(self) -> tuple[Node, ...]:
        """The nodes that hold variables."""
        return tuple(node for _, node in self.all_nodes() if node.op in VARIABLE_OPERATIONS)

    @property
    def public(self) -> Mapping[str, SignatureFact]:
        """The signatures that clients may ask for."""
        return {name: one for name, one in self.signatures.items() if name not in PRIVATE}


def dtype_name(number: int) -> str:
    """The name of a type by its number in TensorFlow's messages."""
    if number not in messages.DataType.values():
        return f"type {number}"
    name: str = messages.DataType.Name(number).removeprefix("DT_").lower()
    return NUMPY_NAMES.get(name, name)


def shape_text(shape: Shape | None) -> str:
    """For example `[?,64]`; `of any rank` where it is unknown."""
    return "of any rank" if shape is None else "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"


def tensor_text(name: str, tensor: TensorFact) -> str:
    """For example `'image' float32 [?,64]`."""
    return f"{shown(name)} {tensor}"
