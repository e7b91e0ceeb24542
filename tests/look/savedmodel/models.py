"""Exports the family of SavedModels that the tests look at; run as a script, because importing TensorFlow is slow and loud."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


class Perceptron(tf.Module):
    """64 pixels in, ten probabilities out."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        self.first = tf.Variable(random.normal(size=(64, 32)).astype("float32"), name="first")
        self.final = tf.Variable(random.normal(size=(32, 10)).astype("float32"), name="final")

    def probabilities(self, image):
        return tf.nn.softmax(tf.nn.relu(image @ self.first) @ self.final)


def image(*shape, dtype=tf.float32, name="image"):
    return tf.TensorSpec(shape, dtype, name=name)


def export(target: Path, specs, serve, module=None) -> None:
    module = module or Perceptron(1)
    function = tf.function(lambda *arguments: serve(module, *arguments), input_signature=specs)
    tf.saved_model.save(module, str(target), signatures={"serving_default": function})


def simple(target, serve, specs=None, module=None):
    export(target, specs or [image(None, 64)], lambda module, x: {"probabilities": serve(module, x)}, module)


def endless(module, x):
    forever = tf.while_loop(lambda i: tf.constant(True), lambda i: [tf.math.floormod(i + 1, 7)], [tf.constant(0)])[0]
    return module.probabilities(x) + tf.cast(forever, tf.float32)


def raising(module, x):
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 1e9), ["too dark"])]):
        return module.probabilities(x)


def reading(module, x):
    text = tf.io.read_file("/etc/hostname")
    return module.probabilities(x) + tf.cast(tf.strings.length(text), tf.float32) * 0


def aborting(module, x):
    with tf.control_dependencies([tf.raw_ops.Abort(error_msg="the end")]):
        return module.probabilities(x)


def crowded(module, x):
    return module.probabilities(x - tf.reduce_mean(x, axis=0, keepdims=True))


def huge(module, x):
    return module.probabilities(x) + tf.reduce_sum(tf.random.uniform([tf.shape(x)[0] * 60_000, 100_000]))


class Weighted(tf.Module):
    """Adds its own 2×2 weights to what it is given."""

    def __init__(self, values, dtype=tf.float32) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.constant(values, dtype), name="weights")


def weighted(target, values, dtype=tf.float32):
    """Export a model with just these weights."""
    simple(target, lambda m, x: x + tf.reduce_sum(tf.cast(m.weights, tf.float32)), module=Weighted(values, dtype))


class Lookup(tf.Module):
    """Words to numbers, by a vocabulary file."""

    def __init__(self, vocabulary: str) -> None:
        super().__init__()
        self.vocabulary = tf.saved_model.Asset(vocabulary)
        initializer = tf.lookup.TextFileInitializer(
            self.vocabulary, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        self.table = tf.lookup.StaticHashTable(initializer, -1)
        self.weight = tf.Variable(2.0)


def two_outputs(module, x):
    return {"probabilities": module.probabilities(x), "hidden": x @ module.first}


def listed(module, x):
    """Two rows beside the answers, whatever the request is."""
    return {"probabilities": module.probabilities(x), "thresholds": tf.constant([0.25, 0.75])}


def named(module, x):
    """A class by its name first, and the scores that the class is from."""
    rows = tf.shape(x)[0]
    return {"classes": tf.tile([["no", "yes"]], [rows, 1]), "scores": tf.stack([x[:, 0], -x[:, 0]], 1)}


def flags(target: Path) -> None:
    """A TensorFlow 1 export whose flags have no declared rank and must be single values."""
    tf1 = tf.compat.v1
    with tf.Graph().as_default() as graph, tf1.Session(graph=graph) as session:
        row = tf1.placeholder(tf.float32, [None, 4], name="row")
        training = tf1.placeholder(tf.bool, name="training")
        doubled = tf1.cond(training, lambda: row * 2.0, lambda: row)
        tf1.saved_model.simple_save(session, str(target), {"row": row, "training": training}, {"scores": tf.identity(doubled)})


def main(root: Path) -> None:
    probabilities = Perceptron.probabilities
    simple(root / "stable", probabilities)
    simple(root / "good", probabilities, module=Perceptron(2))
    export(root / "square", [image(None, 8, 8)], lambda m, x: {"probabilities": m.probabilities(tf.reshape(x, [-1, 64]))})
    export(root / "two_outputs", [image(None, 64)], two_outputs)
    export(
        root / "two_inputs",
        [image(None, 64), image(None, name="weight")],
        lambda m, x, w: {"probabilities": m.probabilities(x) * w[:, tf.newaxis]},
    )
    simple(root / "reading", reading)
    simple(root / "nan", lambda m, x: tf.math.log(m.probabilities(x) - 2.0))
    simple(root / "raising", raising)
    simple(root / "aborting", aborting)
    simple(root / "even", lambda m, x: m.probabilities(tf.reshape(tf.reshape(x, [-1, 2 * 64]) * 1.5, [-1, 64])))
    simple(root / "endless", endless)
    simple(root / "crowded", crowded)
    simple(root / "summed", lambda m, x: tf.reduce_sum(m.probabilities(x), axis=0, keepdims=True))
    export(root / "listed", [image(None, 64)], listed)
    export(root / "named", [image(None, 64)], named)
    flags(root / "flags")
    simple(root / "huge", huge)
    simple(root / "random", lambda m, x: m.probabilities(x) + tf.random.uniform([tf.shape(x)[0], 10]))
    simple(root / "flat", lambda m, x: tf.reduce_sum(m.probabilities(x), axis=1))
    simple(root / "frozen", lambda m, x: x @ tf.constant(np.ones((64, 10), "float32")), module=tf.Module())
    weighted(root / "sick", [[np.nan, np.nan], [np.nan, np.inf]])
    weighted(root / "endless_weights", [[1.0, -np.inf], [2.0, 3.0]])
    weighted(root / "blank", [[0.0, 0.0], [0.0, 0.0]])
    weighted(root / "sick_half", [[1.0, np.nan], [2.0, 3.0]], tf.float16)
    weighted(root / "sick_bfloat", [[1.0, np.nan], [2.0, 3.0]], tf.bfloat16)
    vocabulary = root / "words.txt"
    vocabulary.write_text("yes\nno\n")
    export(root / "words", [image(None, dtype=tf.string, name="word")], lambda m, x: {"number": m.table.lookup(x)}, Lookup(str(vocabulary)))
    picky = lambda m, x: {"n": tf.io.parse_tensor(x[0], tf.float32)}  # noqa: E731
    export(root / "picky", [image(None, dtype=tf.string, name="tensor")], picky)
    jpeg = [image(None, dtype=tf.string, name="picture")]
    decode = lambda x: tf.map_fn(lambda p: tf.reduce_mean(tf.cast(tf.io.decode_jpeg(p), tf.float32)), x, fn_output_signature=tf.float32)  # noqa: E731
    export(root / "jpeg", jpeg, lambda m, x: {"brightness": decode(x)})
    export(
        root / "embedding",
        [image(None, 3, dtype=tf.int64, name="ids")],
        lambda m, x: {"vectors": tf.gather(tf.constant(np.ones((5, 4), "float32")), x)},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
