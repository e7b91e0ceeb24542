"""The gRPC health service, which the original has with `--enable_grpc_healthcheck_service`.

Like the original's it knows no models: the server, ModelService and PredictionService are SERVING from the start to the end.
There is no method Watch, whose streams would hold threads for ever; a client that gets UNIMPLEMENTED takes the server as healthy.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

SERVICES = ("", "ModelService", "PredictionService")
"""The names for which the service answers; the empty one stands for the whole server."""
_SERVING = 1


def health_handler() -> grpc.GenericRpcHandler:
    """Return the handler for the service's method Check.

    Its messages have one field each, with the number 1, a text and an enum: on the wire they are a StringValue and an
    Int32Value.
    """
    method = grpc.unary_unary_rpc_method_handler(_check, StringValue.FromString, Int32Value.SerializeToString)
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})


def _check(request: Any, context: Any) -> Any:
    if request.value not in SERVICES:
        context.abort(grpc.StatusCode.NOT_FOUND, "service name unknown")
    return Int32Value(value=_SERVING)
