"""Canary releases of TensorFlow Serving models: look, decide, act."""

from __future__ import annotations

__version__ = "0.1.0"
