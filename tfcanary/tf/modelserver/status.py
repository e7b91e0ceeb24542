"""The codes with which a request ends, their HTTP status, and the error that carries a code."""

from __future__ import annotations

import json

HTTP_STATUS = {
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
"""The HTTP status of each code, as TF Serving maps them (http_server.cc, ToHTTPStatusCode)."""


class RequestError(Exception):
    """A request must be answered with this code and message; the server catches every RequestError."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid_argument(message: str) -> RequestError:
    """Return the error for a request that is wrong in itself."""
    return RequestError("INVALID_ARGUMENT", message)


def error_body(message: str) -> bytes:
    """Return the body of a REST response that reports an error."""
    return f'{{ "error": {json.dumps(message)} }}'.encode()
