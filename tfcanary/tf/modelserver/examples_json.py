"""Reads the body of a REST classify or regress request, a list of examples as JSON objects, and writes that of its response."""

from __future__ import annotations

from typing import Any

from tfcanary.tf.modelserver.inference import Classification, Regression
from tfcanary.tf.modelserver.request_body import RequestBody
from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.modelserver.tensors import dump, is_base64, json_type, to_bytes, to_json
from tfcanary.tf.wire import messages

_FIELDS = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}
"""The field of a tf.Feature for each type of its values."""


def read(body: RequestBody) -> Any:
    """Return the examples, with their common context, as an Input message.

    A feature's first value gives its type: text and {"b64": …} are bytes, a number with a point or an exponent is a float, a
    whole number or a truth value is an int64. Raises RequestError, with TF Serving's message, where the body has another form.
    """
    source = messages.Input()
    context = body.fields.get("context")
    if "context" in body.fields:
        _fill(source.example_list_with_context.context, context)
    if "examples" not in body.fields:
        raise body.error("When method is classify, key 'examples' is expected and was not found")
    examples = body.fields["examples"]
    if not isinstance(examples, list):
        raise body.error("Expecting 'examples' value to be an list/array")
    if not examples:
        raise body.error("'examples' value is an empty array")
    target = source.example_list_with_context if "context" in body.fields else source.example_list
    for example in examples:
        _fill(target.examples.add(), example)
    return source


def render(result: Classification | Regression) -> bytes:
    """Return the body of a response: for each example a list of pairs, each a label and a score, or one number."""
    if isinstance(result, Regression):
        return dump({"results": to_json(result.values)})
    rows = zip(result.labels, result.scores, strict=True)
    return dump({"results": [[[label, to_json(score)] for label, score in zip(*row, strict=True)] for row in rows]})


def _fill(example: Any, value: Any) -> None:
    """Write the features of a JSON object into a tf.Example."""
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {json_type(value)}")
    for name, content in value.items():
        feature = messages.Feature()
        _fill_feature(feature, name, content if isinstance(content, list) else [content])
        example.features.feature[name.encode("utf-8", "replace").decode()].CopyFrom(feature)


def _fill_feature(feature: Any, name: str, values: list[Any]) -> None:
    kinds = [_kind(name, value) for value in values]
    for kind in kinds:
        if kind != kinds[0]:
            raise invalid_argument(f"Unexpected element type in feature: {name} expecting type: {kinds[0]}")
    if not values:
        return
    target = getattr(feature, _FIELDS[kinds[0]]).value
    if kinds[0] == "int64":
        if max(values) >= 2**63:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        target.extend(map(int, values))
    else:
        target.extend(values if kinds[0] == "float" else map(to_bytes, values))


def _kind(name: str, value: Any) -> str:
    """Return the type that a value gives to its feature; raises RequestError where it is null, a list or an object."""
    if isinstance(value, str) or is_base64(value):
        return "bytes"
    if isinstance(value, float):
        return "float"
    if isinstance(value, int):
        return "int64"
    raise RequestError("INVALID_ARGUMENT", f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
