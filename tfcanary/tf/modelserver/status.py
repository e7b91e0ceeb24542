"""How a request ends: TF Serving's codes, and what they are in HTTP (http_server.cc, ToHTTPStatusCode)."""

from __future__ import annotations

import json

HTTP = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""The HTTP status of each code."""


class RequestError(Exception):
    """A request that is answered with an error; never leaves the server."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> RequestError:
    """The request is wrong."""
    return RequestError("INVALID_ARGUMENT", message)


def error_body(message: str) -> bytes:
    """What REST answers instead of a result."""
    return f'{{ "error": {json.dumps(message)} }}'.encode()
