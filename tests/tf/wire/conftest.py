"""Files and descriptors of the real TensorFlow, to compare with."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tf():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("tensorflow")


@pytest.fixture(scope="session")
def exported(tf, tmp_path_factory) -> Path:
    """A SavedModel with a function library, a signature with two outputs, a variable and an asset."""
    folder = tmp_path_factory.mktemp("exported")
    words = folder / "words.txt"
    words.write_text("setosa\nversicolor\nvirginica\n")

    class Scorer(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = tf.Variable(tf.random.stateless_normal([4, 3], seed=[1, 2]))
            self.words = tf.saved_model.Asset(str(words))
            initializer = tf.lookup.TextFileInitializer(self.words, tf.int64, -1, tf.string, -2)
            self.table = tf.lookup.StaticHashTable(initializer, "unknown")

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def score(self, x):
            scores = tf.nn.softmax(x @ self.weights)
            return {"scores": scores, "label": self.table.lookup(tf.argmax(scores, axis=1))}

    scorer = Scorer()
    tf.saved_model.save(scorer, str(folder / "model"), signatures={"serving_default": scorer.score})
    return folder / "model"
