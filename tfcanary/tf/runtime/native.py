"""TensorFlow's own C++ loader, the very function that TF Serving calls, through the C interface.

`load` takes the same steps one by one, so that a request can be sent; this says what the original makes of a model.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

from tfcanary.tf.runtime.loader import start_tensorflow
from tfcanary.tf.runtime.servable import Failed


def load_natively(path: Path) -> bool:
    """Load a model as TF Serving does, and let go of it; raises Failed with its code and sentence. False where the library cannot be found."""
    library = _library()
    if library is None:
        return False
    status, options, graph = library.TF_NewStatus(), library.TF_NewSessionOptions(), library.TF_NewGraph()
    try:
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = library.TF_LoadSessionFromSavedModel(options, None, str(path).encode(), tags, 1, graph, None, status)
        _raise_for(library, status)
        library.TF_CloseSession(session, status)
        library.TF_DeleteSession(session, status)
    finally:
        library.TF_DeleteGraph(graph)
        library.TF_DeleteSessionOptions(options)
        library.TF_DeleteStatus(status)
    return True


def _raise_for(library: Any, status: int) -> None:
    from tfcanary.tf.wire import messages

    if code := library.TF_GetCode(status):
        raise Failed(messages.Code.Name(code), library.TF_Message(status).decode(errors="replace"))


def _library() -> Any | None:
    """The library that Python's TensorFlow runs on already; loading it again costs nothing."""
    start_tensorflow()
    import tensorflow

    suffix = "2.dylib" if sys.platform == "darwin" else "so.2"
    found = Path(tensorflow.__file__).parent / f"libtensorflow_cc.{suffix}"
    if not found.exists():
        return None
    library = ctypes.CDLL(str(found))
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
