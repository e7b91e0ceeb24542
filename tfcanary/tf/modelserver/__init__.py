"""A model server with the interface of `tensorflow_model_server`: REST, gRPC, status, metrics, flags and exit codes.

It serves where the original cannot be installed: the local platform runs one server for each track, tests start it, and
people start it with `python -m tfcanary.tf.modelserver --model_name=… --model_base_path=…`. Importing this package is cheap:
`serve` imports TensorFlow, so a process that has imported TensorFlow, and run nothing of it, may fork and then call `serve`.
"""

from tfcanary.tf.modelserver.server_options import Options, parse, usage

__all__ = ["Options", "parse", "serve", "usage"]


def serve(options: Options) -> int:
    """Serve until SIGTERM and return the exit code, 255 where the server could not start; call it in the main thread."""
    from tfcanary.tf.modelserver.server import run

    return run(options)
