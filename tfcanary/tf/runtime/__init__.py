"""Loads SavedModels and runs them with TensorFlow; only this package imports TensorFlow, and only inside functions.

A model is loaded in the steps of TF Serving's C++ loader: what can be loaded here can be loaded there, and what cannot
fails with the same message. The model server and the trial of a candidate call `load`.
"""

from tfcanary.tf.runtime.loader import import_tensorflow, load
from tfcanary.tf.runtime.native import load_natively
from tfcanary.tf.runtime.servable import Servable, TensorFlowError
from tfcanary.tf.runtime.signatures import DEFAULT, Signature, TensorSpec, signature_from

__all__ = [
    "DEFAULT",
    "Servable",
    "Signature",
    "TensorFlowError",
    "TensorSpec",
    "import_tensorflow",
    "load",
    "load_natively",
    "signature_from",
]
