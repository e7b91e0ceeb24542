"""Trains and exports the demo's models on the handwritten digits that scikit-learn ships.

It is a process of its own (`python -m tfcanary.cli.demo.digit_models FOLDER`): the demo itself never imports TensorFlow.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

BULK = 8
"""The broken model's buffer, in rows: it fails on larger batches."""
LEARNING_RATE = 0.5
Array = np.ndarray[Any, Any]
Classifier = Callable[[tf.Tensor], tf.Tensor]
"""From rows of 64 grey values to the probabilities of the ten digits."""


def load_images() -> tuple[Array, Array, Array, Array]:
    """Training images and labels, then held-out images and labels; an image is 64 grey values from 0 to 1."""
    digits = load_digits()
    order = np.random.default_rng(7).permutation(len(digits.target))
    images, labels = (digits.data[order] / 16.0).astype(np.float32), digits.target[order]
    return images[:1000], labels[:1000], images[1000:], labels[1000:]


def train(images: Array, labels: Array, hidden: int, steps: int) -> Classifier:
    """Train a network with one hidden layer of that many units, for that many steps of gradient descent."""
    chance = tf.random.Generator.from_seed(3)
    first = tf.Variable(chance.normal([64, hidden], stddev=0.15))
    bias = tf.Variable(tf.zeros([hidden]))
    second = tf.Variable(chance.normal([hidden, 10], stddev=0.15))
    variables = [first, bias, second]
    truth = tf.one_hot(labels, 10)

    def logits(rows: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(rows @ first + bias) @ second

    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(truth, logits(images)))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)
    return lambda rows: tf.nn.softmax(logits(rows))


def export(folder: Path, classifier: Classifier, shape: tuple[int, ...] = (64,), name: str = "image") -> None:
    """Write a SavedModel whose input has that name and that shape a row, and whose output is the class probabilities."""
    module = tf.Module()

    def serve(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": classifier(tf.reshape(rows, [-1, 64]))}

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None, *shape], tf.float32, name=name)])
    concrete = module.serve.get_concrete_function()
    module.variables_of_the_function = list(concrete.variables)  # saved only where the module holds them
    tf.saved_model.save(module, str(folder), signatures=concrete)


def break_under_load(good: Classifier) -> Classifier:
    """The classifier made slow on batches and failing on bulk requests; a trial of single rows shows nothing of it."""

    def classify(rows: tf.Tensor) -> tf.Tensor:
        size = tf.shape(rows)[0]
        full = tf.debugging.assert_less_equal(size, BULK, message="the feature buffer is too small for this batch")
        with tf.control_dependencies([full]):
            busy = tf.while_loop(
                lambda i, x: i < 100 * tf.cast(size > 1, tf.int32), lambda i, x: (i + 1, tf.cos(x)), [0, tf.ones([64, 64])]
            )
        return good(rows) + 0.0 * tf.reduce_sum(busy[1])

    return classify


def main(folder: Path) -> None:
    """Export the five models, golden requests for the gate, and the rest of the held-out digits for the users' traffic."""
    images, labels, held_out, truth = load_images()
    better = train(images, labels, hidden=48, steps=400)
    shuffled = np.random.default_rng(11).permutation(10)[labels]
    classifiers = {
        "v1": train(images, labels, hidden=8, steps=60),
        "better": better,
        "breaks-under-load": break_under_load(better),
        "confidently-wrong": train(images, shuffled, hidden=48, steps=400),
    }
    for name, classifier in classifiers.items():
        export(folder / name, classifier)
    export(folder / "other-signature", better, shape=(8, 8), name="picture")
    golden = [{"instances": [row.tolist()], "label": int(label)} for row, label in zip(held_out[:300], truth[:300], strict=True)]
    (folder / "golden.jsonl").write_text("".join(json.dumps(one) + "\n" for one in golden))
    users = [{"image": row.tolist(), "label": int(label)} for row, label in zip(held_out[300:], truth[300:], strict=True)]
    (folder / "users.json").write_text(json.dumps(users))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
