"""Exports the sound SavedModels; run as a module of its own, because importing TensorFlow is slow and loud."""

import sys
from pathlib import Path

from tests.look.savedmodels import exports_frameworks, exports_numbers, exports_texts
from tests.look.savedmodels.exporting import MADE

__all__ = ["exports_frameworks", "exports_numbers", "exports_texts"]


def main(root: Path) -> None:
    """Export all of them below a directory."""
    for name, make in MADE.items():
        make(root / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
