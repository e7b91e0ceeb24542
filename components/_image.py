"""The one image in which every component body runs: the library's own, by its version; `make compile IMAGE=...` names another."""

import os

from tfcanary import __version__

IMAGE = os.environ.get("TFCANARY_IMAGE") or f"tfcanary-python:{__version__}"
