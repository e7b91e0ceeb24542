"""The command line of the embedded model server: `tfcanary-model-server --port=8500 --rest_api_port=8501 --model_config_file=…`."""

from __future__ import annotations

import sys

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import parse, serve


def main(argv: list[str]) -> int:
    """Serve as the arguments say; the exit code."""
    try:
        options, warnings = parse(argv)
    except Refused as error:
        print(error, file=sys.stderr)
        return 255
    for warning in warnings:
        print(warning, file=sys.stderr)
    return serve(options)


def run() -> None:
    """Serve as the process's own arguments say, and end the process with the exit code."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
