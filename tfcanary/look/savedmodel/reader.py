"""Reads a SavedModel of any size into facts, piece by piece and without TensorFlow.

No part of the model is executed, and memory stays bounded: the reader skips weights and large constants.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel.facts import Asset, Function, Node, SavedModelFacts, SignatureFact, TensorFact, dtype_name
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.savedmodel.keras import layers_with_code
from tfcanary.look.savedmodel.nodes import TEXT, add_node, map_entry, read_function, read_node, shape_of
from tfcanary.look.savedmodel.protobuf_walk import BYTES, VARINT, Field, Unreadable, Walk, parse
from tfcanary.look.savedmodel.tree import GRAPH_BYTES, MODEL, list_files
from tfcanary.tf.wire import messages

SERVE = frozenset({"serve"})
SIGNATURES = 1000
"""Largest number of signatures, more than any model has."""
STARTERS = ("saved_model_main_op", "legacy_init_op")
# Field numbers in TensorFlow's .proto files; the message classes are not used for fields that may be large.
META_INFO, GRAPH, SAVER, COLLECTION, SIGNATURE, ASSET, OBJECTS = range(1, 8)


@dataclass(slots=True)
class _Meta:
    """The facts of one meta graph while they are read."""

    info: Any = field(default_factory=lambda: messages.MetaGraphDef.MetaInfoDef())
    versions: Any = field(default_factory=lambda: messages.VersionDef())
    saver: Any = field(default_factory=lambda: messages.SaverDef())
    signatures: dict[str, SignatureFact] = field(default_factory=dict)
    collections: dict[str, Any] = field(default_factory=dict)
    assets: list[Asset] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    gradients: dict[str, str] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)


def read(model: Path) -> SavedModelFacts:
    """Read the facts of a SavedModel's meta graph for serving. Raises Refused where there is no SavedModel, or it is damaged."""
    list_files(model)
    try:
        return parse_model(model)
    except Unreadable as error:
        raise Refused(f"{model}: {error}") from error


def parse_model(model: Path) -> SavedModelFacts:
    """The facts of the meta graph for serving. Raises Unreadable where there is not exactly one, or the bytes are damaged."""
    path = model / MODEL
    try:
        if not stat.S_ISREG(mode := path.lstat().st_mode):
            kind = "a link" if stat.S_ISLNK(mode) else "a directory" if stat.S_ISDIR(mode) else "neither a file nor a directory"
            raise Unreadable(f"{MODEL} is {kind}")
        size = path.stat().st_size
        if size > GRAPH_BYTES:
            raise Unreadable(f"{MODEL} has {size:,} bytes; TensorFlow reads at most {GRAPH_BYTES:,}")
        with path.open("rb") as file:
            return _facts(Walk(file, size))
    except FileNotFoundError as error:
        raise Unreadable(f"{MODEL} is missing: the copy is incomplete") from error
    except OSError as error:
        raise Unreadable(f"{MODEL} cannot be read ({error.strerror})") from error


def _facts(walk: Walk) -> SavedModelFacts:
    schema, graphs = 0, []
    for one in walk.fields(walk.whole):
        if one.kind == VARINT and one.number == 1:
            schema = one.value
        elif one.kind == BYTES and one.number == 2:
            graphs.append(one)
    tags = tuple(frozenset(_info(walk, graph).tags) for graph in graphs)
    serving = [graph for graph, its_tags in zip(graphs, tags, strict=True) if its_tags == SERVE]
    if len(serving) != 1:
        found = ", ".join(sorted({"{" + ",".join(map(quote, sorted(one))) + "}" for one in tags})) or "none"
        raise Unreadable(f"{MODEL} has {len(serving)} graphs tagged {{serve}} (it has: {found}); a server needs exactly one")
    meta = _meta(walk, serving[0])
    return SavedModelFacts(
        schema=schema,
        tensorflow_version=meta.info.tensorflow_version,
        producer=meta.versions.producer,
        min_consumer=meta.versions.min_consumer,
        bad_consumers=tuple(meta.versions.bad_consumers),
        gradients=meta.gradients,
        signatures=meta.signatures,
        nodes=meta.nodes,
        functions=meta.functions,
        saver=(meta.saver.filename_tensor_name, meta.saver.save_tensor_name, meta.saver.restore_op_name),
        starters=tuple(dict.fromkeys(_starters(meta))),
        assets=tuple(meta.assets) or tuple(_old_assets(meta)),
        layers=tuple(meta.layers),
    )


def _meta(walk: Walk, graph: Field) -> _Meta:
    """Read a meta graph in one pass. A field that occurs twice is merged, as a protobuf parser does."""
    meta = _Meta(info=_info(walk, graph))
    for one in walk.nested(graph, GRAPH, SAVER, COLLECTION, SIGNATURE, ASSET, OBJECTS):
        _READERS[one.number](walk, one, meta)
    return meta


def _info(walk: Walk, graph: Field) -> Any:
    """The tags and versions of a meta graph; the list of operations in the same message is skipped."""
    content = b"".join(walk.raw(one) for info in walk.nested(graph, META_INFO) for one in walk.nested(info, 4, 5, 6) if one.size <= TEXT)
    return parse(messages.MetaGraphDef.MetaInfoDef, content)


def _read_graph(walk: Walk, graph: Field, meta: _Meta) -> None:
    for one in walk.nested(graph, 1, 2, 4):
        if one.number == 1:
            add_node(meta.nodes, read_node(walk, one))
        elif one.number == 4:
            meta.versions.MergeFrom(walk.parse(messages.VersionDef, one))
        else:
            _read_library(walk, one, meta)


def _read_library(walk: Walk, library: Field, meta: _Meta) -> None:
    for one in walk.nested(library, 1, 2):
        if one.number == 2:
            found = walk.parse(messages.GradientDef, one)
            walk.keep(one.size + 200)
            meta.gradients[found.function_name] = found.gradient_func
            continue
        function = read_function(walk, one)
        if function.name in meta.functions:
            raise Unreadable(f"two functions are called {quote(function.name)}")
        meta.functions[function.name] = function


def _read_saver(walk: Walk, one: Field, meta: _Meta) -> None:
    meta.saver.MergeFrom(walk.parse(messages.SaverDef, one))


def _read_collection(walk: Walk, one: Field, meta: _Meta) -> None:
    key, value = map_entry(walk, one)
    if key in (*STARTERS, "saved_model_assets") and value is not None:
        meta.collections[key] = walk.parse(messages.CollectionDef, value)


def _read_signature(walk: Walk, one: Field, meta: _Meta) -> None:
    key, value = map_entry(walk, one)
    found = walk.parse(messages.SignatureDef, value) if value is not None else messages.SignatureDef()
    walk.keep(one.size * 8)
    if len(meta.signatures) == SIGNATURES:
        raise Unreadable(f"more than {SIGNATURES:,} signatures")
    meta.signatures[key] = SignatureFact(
        {name: _tensor(info) for name, info in found.inputs.items()},
        {name: _tensor(info) for name, info in found.outputs.items()},
        found.method_name,
        frozenset(found.defaults),
    )


def _read_asset(walk: Walk, one: Field, meta: _Meta) -> None:
    walk.keep(one.size + 200)
    meta.assets.append(_asset(walk.parse(messages.AssetFileDef, one)))


def _read_objects(walk: Walk, one: Field, meta: _Meta) -> None:
    """Read the names of Keras layers with Python code: until TensorFlow 2.5 Keras kept its layers in the objects' metadata."""
    for saved in walk.nested(one, 1):
        for user_object in walk.nested(saved, 4):
            found = [layer for metadata in walk.nested(user_object, 3) for layer in layers_with_code(walk, metadata)]
            walk.keep(sum(map(len, found)) + 100 * len(found))
            meta.layers += found


_READERS = {
    GRAPH: _read_graph,
    SAVER: _read_saver,
    COLLECTION: _read_collection,
    SIGNATURE: _read_signature,
    ASSET: _read_asset,
    OBJECTS: _read_objects,
}


def _starters(meta: _Meta) -> Iterator[str]:
    for key in STARTERS:
        if key in meta.collections:
            yield from meta.collections[key].node_list.value
    if init := meta.signatures.get("__saved_model_init_op"):
        yield from (tensor.tensor for tensor in init.outputs.values())


def _old_assets(meta: _Meta) -> Iterator[Asset]:
    """The assets of an export of TensorFlow 1, which lists them in a collection."""
    if found := meta.collections.get("saved_model_assets"):
        for item in found.any_list.value:
            yield _asset(parse(messages.AssetFileDef, item.value))


def _asset(found: Any) -> Asset:
    return Asset(found.tensor_info.name, found.filename)


def _tensor(info: Any) -> TensorFact:
    return TensorFact(dtype_name(info.dtype), shape_of(info.tensor_shape), info.name)
