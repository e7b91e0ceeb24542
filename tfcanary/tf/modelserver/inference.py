"""Classify, Regress and MultiInference: a model takes serialized tf.Examples and returns classes with scores, or one number.

The signature's one input is called `inputs`. Its outputs are `classes` and `scores`, or one of them, where it classifies, and
`outputs` where it regresses. The rules and the messages are TF Serving's (classifier.cc, regressor.cc, multi_inference.cc).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import text_format

from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.runtime import DEFAULT
from tfcanary.tf.wire import messages

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
_INPUTS = "inputs"
_CLASSES = "classes"
_SCORES = "scores"
_OUTPUTS = "outputs"


@dataclass(frozen=True, slots=True)
class Classification:
    """The classes of each example."""

    labels: Sequence[Sequence[str]]
    """A label for each example and class; empty texts where the model returns no classes."""
    scores: np.ndarray
    """float32 of the shape (examples, classes); zeros where the model returns no scores."""

    def message(self) -> Any:
        """Return the classes as a ClassificationResult message."""
        result = messages.ClassificationResult()
        for labels, scores in zip(self.labels, self.scores.tolist(), strict=True):
            classes = result.classifications.add().classes
            classes.extend(messages.Class(label=label, score=score) for label, score in zip(labels, scores, strict=True))
        return result


@dataclass(frozen=True, slots=True)
class Regression:
    """The value of each example."""

    values: np.ndarray
    """float32 of the shape (examples,)."""

    def message(self) -> Any:
        """Return the values as a RegressionResult message."""
        return messages.RegressionResult(regressions=[messages.Regression(value=value) for value in self.values.tolist()])


Run = Callable[[str, Mapping[str, np.ndarray], tuple[str, ...], str], dict[str, np.ndarray]]
"""A function that runs a signature and returns its outputs by name.

Its arguments are the signature's name, the inputs, the names of the outputs (none stands for all), and the method of
PredictionService under which the time is counted.
"""


@dataclass(frozen=True, slots=True)
class RunnableVersion:
    """One version of a model, as a request sees it."""

    model: str
    number: int
    definitions: Mapping[str, Any]
    """The SignatureDef messages by name."""
    run: Run
    count_examples: Callable[[int], None]
    """A function that counts the examples of one request."""


def classify(version: RunnableVersion, signature: str, source: Any) -> Classification:
    """Run a signature on the examples of an Input message; raises RequestError where it does not classify, or fails."""
    outputs = _classification_outputs(_definition(version, signature))
    examples = _serialize(source)
    results = version.run(signature, {_INPUTS: examples}, outputs, "Classify")
    version.count_examples(len(examples))
    return _classification(results, len(examples))


def regress(version: RunnableVersion, signature: str, source: Any) -> Regression:
    """Run a signature on the examples of an Input message; raises RequestError where it does not regress, or fails."""
    _check_regression(_definition(version, signature))
    examples = _serialize(source)
    results = version.run(signature, {_INPUTS: examples}, (_OUTPUTS,), "Regress")
    version.count_examples(len(examples))
    return _regression(results, len(examples))


def infer(version: RunnableVersion, request: Any) -> Any:
    """Run all tasks of a MultiInferenceRequest on the same examples, and return the MultiInferenceResponse.

    Raises RequestError where the tasks do not fit together, or one of them fails.
    """
    outputs = _check_tasks(version, request.tasks)
    examples = _serialize(request.input)
    response = messages.MultiInferenceResponse()
    for task in request.tasks:
        name = task.model_spec.signature_name or DEFAULT
        spec = {"name": version.model, "signature_name": name, "version": {"value": version.number}}
        results = version.run(name, {_INPUTS: examples}, outputs[name], "MultiInference")
        if task.method_name == CLASSIFY:
            response.results.add(model_spec=spec, classification_result=_classification(results, len(examples)).message())
        else:
            response.results.add(model_spec=spec, regression_result=_regression(results, len(examples)).message())
    version.count_examples(len(examples))
    return response


def _check_tasks(version: RunnableVersion, tasks: Any) -> dict[str, tuple[str, ...]]:
    """Return the outputs that each signature has to compute; raises RequestError where the tasks cannot be run together."""
    outputs: dict[str, tuple[str, ...]] = {}
    inputs = set()
    for task in tasks:
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != version.model:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT
        if name in outputs:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        if (definition := version.definitions.get(name)) is None:
            raise invalid_argument(f"Requested signature not found in model graph: {name}")
        if task.method_name == CLASSIFY:
            outputs[name] = _classification_outputs(definition)
        elif task.method_name == REGRESS:
            _check_regression(definition)
            outputs[name] = (_OUTPUTS,)
        else:
            raise RequestError("UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}")
        inputs.add(definition.inputs[_INPUTS].name)
        if len(inputs) > 1:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
    return outputs


def _definition(version: RunnableVersion, signature: str) -> Any:
    if (definition := version.definitions.get(signature)) is None:
        raise invalid_argument(f"No signature was found with the name: {signature}")
    return definition


def _classification_outputs(definition: Any) -> tuple[str, ...]:
    """Return which of the outputs `classes` and `scores` the signature has; raises RequestError where it does not classify."""
    _check_input(definition, "classification")
    if len(definition.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    outputs = tuple(alias for alias in (_CLASSES, _SCORES) if alias in definition.outputs)
    if not outputs:
        problem = f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}".'
        raise RequestError("FAILED_PRECONDITION", f"{problem} Signature was: {text_format.MessageToString(definition)}")
    return outputs


def _check_regression(definition: Any) -> None:
    _check_input(definition, "regression")
    if len(definition.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if _OUTPUTS not in definition.outputs:
        problem = "No regression outputs found in SignatureDef:"
        raise RequestError("FAILED_PRECONDITION", f"{problem} {text_format.MessageToString(definition)}")


def _check_input(definition: Any, kind: str) -> None:
    if len(definition.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if _INPUTS not in definition.inputs:
        problem = f"No {kind} inputs found in SignatureDef:"
        raise RequestError("FAILED_PRECONDITION", f"{problem} {text_format.MessageToString(definition)}")


def _serialize(source: Any) -> np.ndarray:
    """Return the examples of an Input message as an array of bytes, each behind the common context."""
    kind = source.WhichOneof("kind")
    parts = getattr(source, kind).examples if kind else ()
    if not parts:
        raise invalid_argument("Input is empty.")
    context = source.example_list_with_context.context.SerializeToString() if kind == "example_list_with_context" else b""
    examples = np.empty(len(parts), dtype=object)
    examples[:] = [context + part.SerializeToString() for part in parts]
    return examples


def _classification(outputs: dict[str, np.ndarray], size: int) -> Classification:
    """Return the outputs as classes; raises RequestError where their types or shapes are not those of classes."""
    for alias, array in outputs.items():
        _check_class_output(alias, array, size)
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    if classes is not None and scores is not None and classes.shape != scores.shape:
        problem = "Tensors class and score should match in dim_size(1)."
        raise invalid_argument(f"{problem} Got {classes.shape[1]} vs. {scores.shape[1]}")
    shape = (classes if classes is not None else outputs[_SCORES]).shape
    labels = [[""] * shape[1]] * size
    if classes is not None:
        labels = [[label.decode("utf-8", "replace") for label in row] for row in classes.tolist()]
    return Classification(labels, np.zeros(shape, np.float32) if scores is None else scores)


def _check_class_output(alias: str, array: np.ndarray, size: int) -> None:
    expected = "DT_STRING" if alias == _CLASSES else "DT_FLOAT"
    if array.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
    if _type(array) != expected:
        raise invalid_argument(f"Expected {alias} Tensor of {expected}. Got: {_type(array)}")
    if len(array) != size:
        raise invalid_argument(f"Expected {alias} output batch size of {size}. Got: {len(array)}")


def _regression(outputs: dict[str, np.ndarray], size: int) -> Regression:
    """Return the output as one value for each example; raises RequestError where its type or shape is another."""
    array = outputs[_OUTPUTS]
    if array.ndim != 1 and (array.ndim != 2 or array.shape[1] != 1):
        expected = "Expected output Tensor shape to be either [batch_size] or [batch_size, 1]"
        raise invalid_argument(f"{expected} but got {_shape(array)}")
    if len(array) != size:
        raise invalid_argument(f"Input batch size did not match output batch size: {size} vs. {len(array)}")
    if _type(array) != "DT_FLOAT":
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {_type(array)}")
    return Regression(array.reshape(size))


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _type(array: np.ndarray) -> str:
    """Return TensorFlow's name of the array's type."""
    names = {"object": "DT_STRING", "float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}
    return names.get(array.dtype.name, f"DT_{array.dtype.name.upper()}")
