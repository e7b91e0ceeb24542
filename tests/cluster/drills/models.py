"""The demo's models, and some more that go wrong on a cluster only: `python -m tests.cluster.drills.models FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

from tfcanary.cli.demo.digit_models import export, load_images, main, train

WORK = 6000
"""Rounds of a slow model's loop: about ten milliseconds more for each request."""


def more(folder: Path) -> None:
    """`slow`: right on every request, and slow."""
    images, labels, _, _ = load_images()
    good = train(images, labels, hidden=32, steps=300)

    def slow(rows: tf.Tensor) -> tf.Tensor:
        busy = tf.while_loop(lambda i, x: i < WORK, lambda i, x: (i + 1, tf.cos(x)), [0, tf.ones([8])])
        return good(rows) + 0.0 * tf.reduce_sum(busy[1])

    export(folder / "slow", slow)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    more(Path(sys.argv[1]))
