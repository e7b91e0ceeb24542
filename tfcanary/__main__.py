"""`tfcanary` and `python -m tfcanary`: run the command line; Ctrl-C and faults of tfcanary itself end with exit code 3."""

from __future__ import annotations

import sys
from types import TracebackType

UNDECIDED = 3
"""The exit code of an interrupt and of a fault of tfcanary: neither says anything about a candidate."""


def main() -> None:
    """Import and run the command line."""
    sys.excepthook = report_fault
    try:
        from tfcanary import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(UNDECIDED)


def report_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback and what it means, and end with exit code 3: Python's own exit code 1 would say that a candidate is bad."""
    sys.__excepthook__(kind, error, trace)
    print("tfcanary: this is a fault of tfcanary; please report it with the lines above", file=sys.stderr)
    raise SystemExit(UNDECIDED)


if __name__ == "__main__":
    main()
