"""`python -m tests.adapters.local.export FOLDER`: FOLDER/1 and FOLDER/2, which add 1 and 2 to x; FOLDER/3 is broken."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf


class Plus(tf.Module):
    """x and something."""

    def __init__(self, something):
        self.something = tf.Variable(something)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x):
        return {"y": x + self.something}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for number in (1, 2):
        module = Plus(float(number))
        tf.saved_model.save(module, str(folder / str(number)), signatures={"serving_default": module.answer})
    (folder / "3").mkdir()
    (folder / "3" / "saved_model.pb").write_bytes(b"no SavedModel")
