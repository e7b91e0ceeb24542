"""`tfcanary` and `python -m tfcanary`: the command line, with Ctrl-C caught from the first import on."""

from __future__ import annotations

import sys

INTERRUPTED = 3
"""Undecided: nothing had begun, or `release` has put everything back before it comes here."""


def main() -> None:
    """Import and run the command line."""
    try:
        from tfcanary import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
