"""Exports the models that the tests serve, all in one process: importing TensorFlow takes longer than all of them.

`python -m tests.tf.modelserver.export FOLDER` writes FOLDER/<model>/<version>.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf


class Half(tf.Module):
    """Half of x and something: version 1 adds 2, version 2 adds 3."""

    def __init__(self, plus):
        self.half, self.plus = tf.Variable(0.5), tf.Variable(plus)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x):
        return {"y": self.half * x + self.plus}


class Pair(tf.Module):
    """Two inputs, two outputs."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="a"), tf.TensorSpec([None], tf.int64, name="b")])
    def answer(self, a, b):
        return {"sum": tf.reduce_sum(a, axis=1) + tf.cast(b, tf.float32), "twice": 2 * b}


class Words(tf.Module):
    """Text in, text and bytes out."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
    def answer(self, word):
        return {"upper": tf.strings.upper(word), "same_bytes": word}


class Strict(tf.Module):
    """Fails on negative numbers; its other signature gives one number for the whole batch."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, message="negative")]):
            return {"y": tf.sqrt(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}


class Log(tf.Module):
    """NaN below 0, -inf at 0."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x):
        return {"y": tf.math.log(x)}


class Slow(tf.Module):
    """Takes about as many milliseconds as its input says."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="milliseconds")])
    def answer(self, milliseconds):
        until = tf.timestamp() + tf.cast(milliseconds[0], tf.float64) / 1000
        left = tf.while_loop(lambda left: left > 0, lambda _: [until - tf.timestamp()], [until - tf.timestamp()])
        return {"y": tf.fill(tf.shape(milliseconds), left[0])}


class Table(tf.Module):
    """Looks words up in a file of its assets."""

    def __init__(self, vocabulary):
        values = tf.lookup.TextFileInitializer(
            vocabulary, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        self.table = tf.lookup.StaticHashTable(values, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
    def answer(self, word):
        return {"number": self.table.lookup(word)}


class Optional(tf.Module):
    """Has a default for one of its inputs."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([], tf.float32, name="times")])
    def answer(self, x, times=tf.constant(10.0)):  # noqa: B008
        return {"y": x * times}


class Layers(tf.Module):
    """A small network with layers of 64, 64, 64 and 10."""

    def __init__(self):
        self.weights = [tf.Variable(tf.random.stateless_uniform(shape, seed=(1, 2))) for shape in ((64, 64), (64, 64), (64, 10))]

    @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="x")])
    def answer(self, x):
        for weights in self.weights:
            x = tf.nn.relu(x @ weights)
        return {"y": x}


def main(folder: Path) -> None:
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("zero\none\ntwo\n")
    save(folder / "half/1", Half(2.0))
    save(folder / "half/2", Half(3.0))
    save(folder / "pair/1", Pair())
    save(folder / "words/1", Words())
    strict = Strict()
    save(folder / "strict/1", strict, total=strict.total)
    save(folder / "log/1", Log())
    save(folder / "slow/1", Slow())
    save(folder / "table/1", Table(str(vocabulary)))
    save(folder / "optional/1", Optional())
    save(folder / "layers/1", Layers())


def save(path: Path, module, **others) -> None:
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.answer, **others})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
