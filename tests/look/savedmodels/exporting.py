"""What the sound models of the collection are made with.

Each function that `model` decorates is one: its name is the directory's.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

MADE: dict[str, Callable[[Path], None]] = {}
RANDOM = np.random.default_rng(7)


def model(make):
    """Enter a model into the collection."""
    MADE[make.__name__] = make
    return make


def spec(*shape, dtype=tf.float32, name="x"):
    return tf.TensorSpec(shape, dtype, name=name)


def weights(*shape, dtype="float32"):
    return tf.Variable((RANDOM.normal(size=shape) / 8).astype(dtype))


def save(target, module, options=None, **signatures):
    """Each signature is a pair of specs and a function."""
    made = {name: tf.function(serve, input_signature=specs) for name, (specs, serve) in signatures.items()}
    tf.saved_model.save(module, str(target), signatures=made, options=options)


def one(target, serve, *specs, module=None, options=None):
    save(target, module or tf.Module(), options, serving_default=(specs or (spec(None, 4),), serve))


def parts(**variables):
    """A module with these attributes."""
    module = tf.Module()
    for name, value in variables.items():
        setattr(module, name, value)
    return module
