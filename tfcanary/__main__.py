"""`tfcanary` and `python -m tfcanary`: run the command line; Ctrl-C and faults of tfcanary itself end with exit code 3."""

from __future__ import annotations

import sys
import tempfile
import traceback
from types import TracebackType

from tfcanary.core.errors import told

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
    """Print one sentence, and end with exit code 3: Python's own exit code 1 would say that a candidate is bad.

    The traceback goes into a file in the temporary folder, which the sentence names.
    """
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace", prefix="tfcanary-", suffix=".log", delete=False) as file:
            file.writelines(traceback.format_exception(kind, error, trace))
        with_what = f"please report it with the file {file.name}"
    except OSError as unwritten:
        with_what = f"please report it; its traceback could not be written ({unwritten.strerror})"
    print(f"tfcanary: {told(error)}: this is a fault of tfcanary; {with_what}", file=sys.stderr)
    raise SystemExit(UNDECIDED)


if __name__ == "__main__":
    main()
