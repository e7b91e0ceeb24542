"""Canary releases of TensorFlow Serving models: look, decide, act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfcanary.run.submit.handle import release

__version__ = "0.1.0"
__all__ = ["__version__", "release"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a step, and `import tfcanary`, must stay cheap."""
    if name != "release":
        raise AttributeError(f"module 'tfcanary' has no attribute {name!r}")
    from tfcanary.run.submit import handle

    return handle.release
