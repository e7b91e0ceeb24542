"""Checks that a compiled pipeline package and the image that its steps run in belong to the same version of tfcanary.

They are chosen separately, at submission; without this check a mismatch would go unnoticed.
"""

from __future__ import annotations

import os

from tfcanary import __version__
from tfcanary.core.errors import Refused

PACKAGE = "TFCANARY_PACKAGE"
"""Environment variable of a step: the version of tfcanary that compiled its package. Missing outside of a pipeline."""


def check_package() -> None:
    """Raise Refused where the package was compiled by another version of tfcanary than the installed one: arguments may differ in meaning."""
    compiled = os.environ.get(PACKAGE) or __version__
    if compiled != __version__:
        raise Refused(
            f"the pipeline was compiled by tfcanary {compiled}, and its image has tfcanary {__version__}; "
            f"submit the package of {__version__}, or name an image of {compiled}"
        )
