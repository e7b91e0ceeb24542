"""Prints the operations of the installed TensorFlow: `python -m tfcanary.tf.runtime.operation_list > tensorflow-2.21.txt`.

The gate compares a candidate with the TensorFlow of the serving image, which is seldom the one that trained the model. A
list is made once for each minor version, with that version installed, and kept in `tfcanary/look/savedmodel/known`. With
names of libraries as arguments (`tensorflow_text`, for example), only the operations that these add are printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any


def lines(libraries: list[str]) -> Iterator[str]:
    """Yield a line of versions, then one line for each operation: its attributes, with `!` after each that has no default."""
    import tensorflow as tf

    before = {one.name for one in _registered_operations()}
    for library in libraries:
        _load(library)
    minor = ".".join(tf.version.VERSION.split(".")[:2])
    yield f"tensorflow {minor} producer {tf.version.GRAPH_DEF_VERSION} min_consumer {tf.version.GRAPH_DEF_VERSION_MIN_CONSUMER}"
    for one in sorted(_registered_operations(), key=lambda op: str(op.name)):
        if not libraries or one.name not in before:
            yield " ".join((one.name, *(attribute.name + "!" * (not attribute.HasField("default_value")) for attribute in one.attr)))


def _load(library: str) -> None:
    """Load a Python package that registers operations when it is imported, a library file, or all library files in a folder."""
    import tensorflow as tf

    if not Path(library).exists():
        import_module(library)
        return
    for path in sorted(Path(library).rglob("*.so")) if Path(library).is_dir() else [Path(library)]:
        tf.load_op_library(str(path))


def _registered_operations() -> Any:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    operations = op_def_pb2.OpList()
    operations.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return operations.op


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines(sys.argv[1:]))
