"""Loads a SavedModel with TensorFlow's own C++ loader, the function that TF Serving calls, through TensorFlow's C interface.

`loader.load` takes the same steps one by one and returns a model that can be run; this module only tells whether the
original loader accepts the model.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

from tfcanary.tf.runtime.loader import import_tensorflow
from tfcanary.tf.runtime.servable import TensorFlowError


def load_natively(path: Path) -> None:
    """Load the model in the directory `path` as TF Serving does, and free it again.

    Raises TensorFlowError with the loader's code and message where the model cannot be loaded. Does nothing where
    TensorFlow's C++ library cannot be found.
    """
    from tfcanary.tf.wire import messages

    library = _library()
    if library is None:
        return
    status, options, graph = library.TF_NewStatus(), library.TF_NewSessionOptions(), library.TF_NewGraph()
    try:
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = library.TF_LoadSessionFromSavedModel(options, None, str(path).encode(), tags, 1, graph, None, status)
        if code := library.TF_GetCode(status):
            raise TensorFlowError(messages.Code.Name(code), library.TF_Message(status).decode(errors="replace"))
        library.TF_CloseSession(session, status)
        library.TF_DeleteSession(session, status)
    finally:
        library.TF_DeleteGraph(graph)
        library.TF_DeleteSessionOptions(options)
        library.TF_DeleteStatus(status)


def _library() -> Any | None:
    """Return the library that Python's TensorFlow has loaded already, so that loading it again costs nothing; None where it is missing."""
    import_tensorflow()
    import tensorflow

    suffix = "2.dylib" if sys.platform == "darwin" else "so.2"
    file = Path(tensorflow.__file__).parent / f"libtensorflow_cc.{suffix}"
    if not file.exists():
        return None
    library = ctypes.CDLL(str(file))
    for name in ("TF_NewStatus", "TF_NewSessionOptions", "TF_NewGraph", "TF_LoadSessionFromSavedModel"):
        getattr(library, name).restype = ctypes.c_void_p
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.TF_LoadSessionFromSavedModel.argtypes = [pointer, pointer, text, ctypes.POINTER(text), ctypes.c_int, pointer, pointer, pointer]
    for name, count in {
        "TF_CloseSession": 2,
        "TF_DeleteSession": 2,
        "TF_DeleteGraph": 1,
        "TF_DeleteSessionOptions": 1,
        "TF_GetCode": 1,
    }.items():
        getattr(library, name).argtypes = [pointer] * count
    for name in ("TF_DeleteStatus", "TF_Message"):
        getattr(library, name).argtypes = [pointer]
    library.TF_Message.restype = text
    return library
