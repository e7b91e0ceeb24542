"""The command line of the model server: `tfcanary-model-server --port=8500 --rest_api_port=8501 --model_config_file=…`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tfcanary import __version__
from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import parse, serve, usage


def main(argv: Sequence[str] | None = None) -> int:
    """Serve with these flags, by default those of the process, and return the exit code; 255 where a flag has a wrong value."""
    try:
        options, warnings = parse(sys.argv[1:] if argv is None else argv)
    except Refused as error:
        print(error, file=sys.stderr)
        return 255
    if options.version:
        print(f"tfcanary-model-server {__version__}")
        return 0
    if warnings:
        print(*warnings, usage(), sep="\n", file=sys.stderr)
    return serve(options)


if __name__ == "__main__":
    sys.exit(main())
