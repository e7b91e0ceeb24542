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


class Numbers(tf.Module):
    """Returns its input, with a signature for each type that JSON can express; `upper` takes one text."""

    TYPES = ("float32", "float64", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "bool", "string", "float16")

    def __init__(self):
        self.functions = {name: self.identity(name) for name in self.TYPES}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="text")])
    def upper(self, text):
        return {"y": tf.strings.upper(text)}

    @staticmethod
    def identity(dtype):
        @tf.function(input_signature=[tf.TensorSpec(None, dtype, name="x")])
        def answer(x):
            return {"y": tf.identity(x)}

        return answer


def save_examples(path: Path) -> None:
    """Write a model that takes serialized tf.Examples with `age` and `name`, as estimators export it: all signatures share one input.

    The score of `old` is age / 64 and that of `young` 1 - age / 64; the regression is age / 2.
    """
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], name="examples")
        other = v1.placeholder(tf.string, [None], name="other")
        features = {"age": tf.io.FixedLenFeature([], tf.float32), "name": tf.io.FixedLenFeature([], tf.string, "")}
        age = tf.io.parse_example(examples, features)["age"]
        scores = tf.stack([age / 64, 1 - age / 64], axis=1)
        classes = tf.tile([["old", "young"]], [tf.shape(age)[0], 1])
        names = tf.io.parse_example(examples, features)["name"]

        def signature(method: str, inputs=None, **outputs):
            info = {name: v1.saved_model.build_tensor_info(tensor) for name, tensor in outputs.items()}
            first = {name: v1.saved_model.build_tensor_info(tensor) for name, tensor in (inputs or {"inputs": examples}).items()}
            return v1.saved_model.build_signature_def(first, info, f"tensorflow/serving/{method}")

        signatures = {
            "serving_default": signature("classify", classes=classes, scores=scores),
            "scores": signature("classify", scores=scores),
            "labels": signature("classify", classes=tf.expand_dims(names, 1)),
            "flat": signature("classify", scores=age),
            "double": signature("classify", scores=tf.cast(scores, tf.float64)),
            "short": signature("classify", scores=scores[:1]),
            "nothing": signature("classify", probabilities=scores),
            "regress": signature("regress", outputs=age / 2),
            "column": signature("regress", outputs=tf.expand_dims(age / 2, 1)),
            "logarithm": signature("regress", outputs=tf.math.log(age)),
            "square": signature("regress", outputs=scores),
            "predict": signature("predict", {"examples": examples}, y=age),
            "elsewhere": signature("regress", {"inputs": other}, outputs=tf.strings.to_number(other)),
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


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
    numbers = Numbers()
    save(folder / "numbers/1", numbers, upper=numbers.upper, **numbers.functions)
    save_examples(folder / "examples/1")


def save(path: Path, module, **others) -> None:
    default = {"serving_default": module.answer} if hasattr(module, "answer") else {}
    tf.saved_model.save(module, str(path), signatures={**default, **others})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
