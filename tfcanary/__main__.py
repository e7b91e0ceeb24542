"""`python -m tfcanary` is the command line."""

from tfcanary.cli import main

main()
