"""TensorFlow itself: the only package that imports it, and that inside functions only.

A SavedModel is loaded as TF Serving's C++ loader does it, so that what loads here loads there, and fails there with the
same sentence. The model server and the validation's trial load go through `load`.
"""

from tfcanary.tf.runtime.loader import load, start_tensorflow
from tfcanary.tf.runtime.native import load_natively
from tfcanary.tf.runtime.servable import Failed, Servable
from tfcanary.tf.runtime.signatures import DEFAULT, Signature, TensorSpec, dtype_name, signature_from

__all__ = [
    "DEFAULT",
    "Failed",
    "Servable",
    "Signature",
    "TensorSpec",
    "dtype_name",
    "load",
    "load_natively",
    "signature_from",
    "start_tensorflow",
]
