"""Trains and exports the demo's models on the handwritten digits that scikit-learn ships.

Run as a process of its own (`python -m examples.demo.models FOLDER`): the demo itself never imports TensorFlow.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

BULK = 8
"""The broken model's buffer: it fails on larger batches."""
RATE = 0.5
"""Of learning."""
Answer = Callable[[tf.Tensor], tf.Tensor]


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, held-out images and labels: 64 grey values from 0 to 1 each."""
    digits = load_digits()
    order = np.random.default_rng(7).permutation(len(digits.target))
    images, labels = (digits.data[order] / 16.0).astype(np.float32), digits.target[order]
    return images[:1000], labels[:1000], images[1000:], labels[1000:]


def train(images: np.ndarray, labels: np.ndarray, hidden: int, steps: int) -> Answer:
    """A small network, trained for so many steps; returns class probabilities for rows of 64 values."""
    chance = tf.random.Generator.from_seed(3)
    first = tf.Variable(chance.normal([64, hidden], stddev=0.15))
    bias = tf.Variable(tf.zeros([hidden]))
    second = tf.Variable(chance.normal([hidden, 10], stddev=0.15))
    variables = [first, bias, second]
    wanted = tf.one_hot(labels, 10)

    def logits(rows: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(rows @ first + bias) @ second

    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, logits(images)))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(RATE * gradient)
    return lambda rows: tf.nn.softmax(logits(rows))


def export(folder: Path, answer: Answer, shape: tuple[int, ...] = (64,), name: str = "image") -> None:
    """Write a SavedModel that takes `name` of that shape and answers class probabilities."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.float32, name=name)])
    def serve(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": answer(tf.reshape(rows, [-1, 64]))}

    module.serve = serve
    concrete = serve.get_concrete_function()
    module.kept = list(concrete.variables)
    tf.saved_model.save(module, str(folder), signatures=concrete)


def breaks_under_load(good: Answer) -> Answer:
    """Right on every small batch; slow on full ones, and it fails on bulk requests: nothing that a trial of single rows would show."""

    def answer(rows: tf.Tensor) -> tf.Tensor:
        size = tf.shape(rows)[0]
        full = tf.debugging.assert_less_equal(size, BULK, message="the feature buffer is too small for this batch")
        with tf.control_dependencies([full]):
            busy = tf.while_loop(
                lambda i, x: i < 100 * tf.cast(size > 1, tf.int32), lambda i, x: (i + 1, tf.cos(x)), [0, tf.ones([64, 64])]
            )
        return good(rows) + 0.0 * tf.reduce_sum(busy[1])

    return answer


def main(folder: Path) -> None:
    """Export all five models and the held-out digits: golden requests for the gate, the rest for the users' traffic."""
    images, labels, held_out, truth = data()
    better = train(images, labels, hidden=48, steps=400)
    shuffled = np.random.default_rng(11).permutation(10)[labels]
    exported = {
        "v1": train(images, labels, hidden=8, steps=60),
        "better": better,
        "breaks-under-load": breaks_under_load(better),
        "confidently-wrong": train(images, shuffled, hidden=48, steps=400),
    }
    for name, answer in exported.items():
        export(folder / name, answer)
    export(folder / "other-signature", better, shape=(8, 8), name="picture")
    golden = [{"instances": [row.tolist()], "label": int(label)} for row, label in zip(held_out[:300], truth[:300], strict=True)]
    (folder / "golden.jsonl").write_text("".join(json.dumps(one) + "\n" for one in golden))
    users = [{"image": row.tolist(), "label": int(label)} for row, label in zip(held_out[300:], truth[300:], strict=True)]
    (folder / "users.json").write_text(json.dumps(users))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
