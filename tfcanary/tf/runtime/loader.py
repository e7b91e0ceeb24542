"""Loads a SavedModel; the steps, their order and their errors are those of TF Serving's loader.

The graph is imported unchanged, the restore operation runs where `variables/variables.index` exists, then the
initialization operation runs (tensorflow/cc/saved_model/loader.cc). A model without that file therefore loads, and its
first request fails: TF Serving does the same with a model whose upload is not complete.
"""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path
from typing import Any

from tfcanary.tf.runtime.servable import Servable, TensorFlowError, make_callable, translate_errors

TAGS = frozenset({"serve"})
INIT_OP = "__saved_model_init_op"
PRIVATE = frozenset({INIT_OP, "__saved_model_train_op"})
"""Signatures that TensorFlow keeps for itself."""


def load(path: Path, threads: int = 1, seconds: float = 0.0, tags: Set[str] = TAGS) -> Servable:
    """Load the version in the directory `path`; nothing of the model runs before its restore operation.

    TensorFlow runs with `threads` threads; one thread serves small models fastest. A run that takes longer than `seconds`
    fails with DEADLINE_EXCEEDED; 0 is no limit. Of the model's graphs the one with exactly these tags is loaded. Raises TensorFlowError, with TensorFlow's code and message, where the model
    cannot be loaded.
    """
    import_tensorflow()
    with translate_errors():
        graph = _meta_graph(path, tags)
        session = _session(graph.graph_def, threads)
    try:
        with translate_errors():
            _initialize(session, graph, path)
    except TensorFlowError:
        session.close()
        raise
    definitions = {name: one for name, one in graph.signature_def.items() if name not in PRIVATE}
    return Servable(session, definitions, seconds)


def import_tensorflow() -> None:
    """Import TensorFlow with its log switched off; this takes five to ten seconds and half a gigabyte.

    A process that called this function, and nothing else of TensorFlow, may fork: its children need not import it again.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # noqa: F401


def _meta_graph(path: Path, tags: Set[str]) -> Any:
    for graph in _saved_model(path).meta_graphs:
        if set(graph.meta_info_def.tags) == tags:
            return graph
    hint = "To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
    raise TensorFlowError("NOT_FOUND", f"Could not find meta graph def matching supplied tags: {{ {' '.join(sorted(tags))} }}. {hint}")


def _saved_model(path: Path) -> Any:
    from google.protobuf import message, text_format
    from tensorflow.core.protobuf import saved_model_pb2

    model, binary, text = saved_model_pb2.SavedModel(), path / "saved_model.pb", path / "saved_model.pbtxt"
    try:
        if binary.exists():
            model.ParseFromString(binary.read_bytes())
        elif text.exists():
            text_format.Parse(text.read_bytes(), model)
        else:
            hint = "Check that the directory exists and that you have the right permissions for accessing it."
            raise TensorFlowError("NOT_FOUND", f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. {hint}")
    except message.DecodeError as error:
        raise TensorFlowError("DATA_LOSS", f"Can't parse {binary} as binary proto") from error
    except text_format.ParseError as error:
        raise TensorFlowError("DATA_LOSS", f"Can't parse {text} as text proto") from error
    return model


def _session(graph_def: Any, threads: int) -> Any:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    return tf.compat.v1.Session(graph=graph, config=config)


def _initialize(session: Any, graph: Any, path: Path) -> None:
    """Restore the variables, then run the initialization operation; both receive the paths of the assets."""
    assets = {one.tensor_info.name: f"{path}/assets/{one.filename}" for one in _assets(graph)}
    if (path / "variables" / "variables.index").exists():
        variables = {graph.saver_def.filename_tensor_name: f"{path}/variables/variables"}
        _run_once(session, graph.saver_def.restore_op_name, variables | assets)
    if operation := _init_op(graph, path):
        _run_once(session, operation, assets)


def _run_once(session: Any, target: str, feeds: dict[str, str]) -> None:
    import numpy as np

    make_callable(session, list(feeds), target=[target])(*(np.array(value.encode(), dtype=object) for value in feeds.values()))


def _init_op(graph: Any, path: Path) -> str:
    """Return the name of the initialization operation, or an empty text where the model has none."""
    if INIT_OP in graph.signature_def:
        return str(graph.signature_def[INIT_OP].outputs[INIT_OP].name)
    for key in ("saved_model_main_op", "legacy_init_op"):
        if key in graph.collection_def:
            names = graph.collection_def[key].node_list.value
            if len(names) != 1:
                raise TensorFlowError("FAILED_PRECONDITION", f"Expected exactly one main op in : {path}")
            return str(names[0])
    return ""


def _assets(graph: Any) -> list[Any]:
    """Return the AssetFileDef messages of the graph, or of the collection in which TensorFlow 1 wrote them."""
    from tensorflow.core.protobuf import meta_graph_pb2

    assets = list(graph.asset_file_def)
    if not assets and "saved_model_assets" in graph.collection_def:
        for packed in graph.collection_def["saved_model_assets"].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            packed.Unpack(asset)
            assets.append(asset)
    return assets
