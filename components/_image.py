"""The image in which every component body runs; `make compile IMAGE=...` compiles the packages with another one."""

import os

from tfcanary import __version__

IMAGE = os.environ.get("TFCANARY_IMAGE") or f"tfcanary-python:{__version__}"
