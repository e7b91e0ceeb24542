"""What a compiled package tells its steps through their environment: which tfcanary it was made with.

Package and image are chosen apart from each other, at submission; nothing else would notice that they do not belong together.
"""

from __future__ import annotations

import os

from tfcanary import __version__
from tfcanary.core.errors import Refused

PACKAGE = "TFCANARY_PACKAGE"
"""The version of tfcanary that compiled the package; missing outside of a pipeline."""


def check_package() -> None:
    """Raises Refused where the step was compiled by another version of tfcanary than the one in its image: its arguments may mean something else."""
    compiled = os.environ.get(PACKAGE) or __version__
    if compiled != __version__:
        raise Refused(
            f"the pipeline was compiled by tfcanary {compiled}, and its image has tfcanary {__version__}; "
            f"submit the package of {__version__}, or name an image of {compiled}"
        )
