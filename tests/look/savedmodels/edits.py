"""Tools to break a SavedModel: its protobuf, its index and its shards, without TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfcanary.tf.wire import messages, tfrecord

PB = "saved_model.pb"
INDEX = "variables/variables.index"
SHARD = "variables/variables.data-00000-of-00001"
WARMUP = "assets.extra/tf_serving_warmup_requests"


@dataclass(frozen=True)
class Broken:
    """A sound model, what is done to it, and a word that the refusal must contain."""

    base: str
    change: Callable[[Path], None]
    word: str
    runs: bool = False
    """It shows only when it runs."""


BROKEN: dict[str, Broken] = {}


def broken(word, base="dense"):
    """Enter a change of a model's directory into the collection."""

    def enter(change):
        BROKEN[change.__name__] = Broken(base, change, word)
        return change

    return enter


def edited(word, base="dense", runs=False):
    """Enter a change of the message in saved_model.pb."""

    def enter(change):
        def apply(model):
            message = messages.SavedModel.FromString((model / PB).read_bytes())
            change(message)
            (model / PB).write_bytes(message.SerializeToString())

        BROKEN[change.__name__] = Broken(base, apply, word, runs)
        return change

    return enter


def graph(message):
    """The graph of the first meta graph."""
    return message.meta_graphs[0].graph_def


def signature(message, name="serving_default"):
    """A signature of the first meta graph."""
    return message.meta_graphs[0].signature_def[name]


def served(message):
    """The node that answers."""
    info = next(iter(signature(message).outputs.values()))
    return node(message, info.name.split(":")[0])


def node(message, name):
    """A node of the graph."""
    return next(one for one in graph(message).node if one.name == name)


def op(message, kind):
    """The first node of a kind, in the graph or in a function."""
    everywhere = [*graph(message).node, *(n for f in graph(message).library.function for n in f.node_def)]
    return next(one for one in everywhere if one.op == kind)


def runs_first(message, kind, *inputs, before=None):
    """A node that runs before the answer is given."""
    made = graph(message).node.add(name="planted", op=kind, input=inputs)
    (before or served(message)).input.append("^planted")
    return made


def starts(message):
    """The node that runs when a server starts, made where there is none."""
    meta = message.meta_graphs[0]
    name = "__saved_model_init_op"
    if name in meta.signature_def:
        return node(message, meta.signature_def[name].outputs[name].name.split(":")[0])
    made = graph(message).node.add(name="start", op="NoOp")
    meta.signature_def[name].outputs[name].name = "start"
    return made


def text(message, name, value):
    """A text as a constant."""
    made = graph(message).node.add(name=name, op="Const")
    made.attr["dtype"].type = messages.DataType.Value("DT_STRING")
    made.attr["value"].tensor.dtype = messages.DataType.Value("DT_STRING")
    made.attr["value"].tensor.string_val.append(value)
    return name


def function(message, name, *nodes):
    """A function that takes and gives nothing, with these operations."""
    made = graph(message).library.function.add()
    made.signature.name = name
    for number, kind in enumerate(nodes):
        made.node_def.add(name=f"n{number}", op=kind)
    return made


def flip(path, at):
    """Change one byte; a negative place counts from the end."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


def cut(path, share):
    """Keep this share of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def request(model, name="x", shape=(1, 4), dtype="DT_FLOAT", asked="", values=4):
    """A warm-up record."""
    log = messages.PredictionLog()
    wanted = log.predict_log.request
    wanted.model_spec.signature_name = asked
    wanted.inputs[name].dtype = messages.DataType.Value(dtype)
    wanted.inputs[name].tensor_shape.dim.extend(messages.TensorShapeProto.Dim(size=size) for size in shape)
    wanted.inputs[name].float_val.extend([0.5] * values)
    return log


def warmed(model, *logs, compressed=False):
    """Write warm-up records into a model."""
    (model / WARMUP).parent.mkdir(exist_ok=True)
    tfrecord.write(model / WARMUP, [one if isinstance(one, bytes) else one.SerializeToString() for one in logs], compressed)
