"""The body of a REST request that asks a model: a JSON object, of which every form may name the signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary.tf.modelserver import json_reader
from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.modelserver.tensors import json_text
from tfcanary.tf.runtime import DEFAULT


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The fields of a request."""

    fields: Mapping[str, Any]
    signature: str
    """The signature's name; empty where the request names none."""

    @property
    def signature_name(self) -> str:
        """The name of the signature to run; that of the default signature where the request names none."""
        return self.signature or DEFAULT

    def error(self, message: str) -> RequestError:
        """Return the error for a body that is wrong as a whole; it repeats the body."""
        return invalid_argument(f"JSON Value: {json_text(self.fields)} {message}")


def parse(text: bytes) -> RequestBody:
    """Parse a body; raises RequestError, with TF Serving's message, where it is no JSON object, or the signature's name no text."""
    document = json_reader.parse(text)
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {json_text(document)} Is not object")
    signature = document.get("signature_name", "")
    body = RequestBody(document, signature)
    if not isinstance(signature, str):
        raise body.error("not formatted correctly. 'signature_name' key must be a string value.")
    return body
