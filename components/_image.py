"""The image in which every component body runs; `make compile IMAGE=...` compiles the packages with another one."""

import os

from tfcanary.run.submit import PLACEHOLDER

IMAGE = os.environ.get("TFCANARY_IMAGE") or PLACEHOLDER
