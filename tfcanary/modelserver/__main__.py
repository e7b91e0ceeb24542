"""The command line: `python -m tfcanary.modelserver --port=8500 --rest_api_port=8501 --model_config_file=…`."""

from __future__ import annotations

import sys

from tfcanary.errors import Refused
from tfcanary.modelserver import parse, serve


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
