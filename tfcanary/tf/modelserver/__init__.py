"""A model server that speaks as `tensorflow_model_server` does: REST, gRPC, status, metrics, flags, exit codes.

For machines on which the original is not to be had: the local platform runs one a track, tests run it, and people do, as
`python -m tfcanary.tf.modelserver --model_name=… --model_base_path=…`. This module costs nothing to import; TensorFlow comes
with `serve`, so that a process which has imported TensorFlow, and run nothing, may fork and then call it.
"""

from tfcanary.tf.modelserver.server_options import Options, parse

__all__ = ["Options", "parse", "serve"]


def serve(options: Options) -> int:
    """Serve until SIGTERM; the exit code, 255 where it could not start. Call it in the main thread."""
    from tfcanary.tf.modelserver.server import run

    return run(options)
