"""Imported by the fork parent: saves the stand-ins their imports, and a stand-in that finds it here was forked."""

from __future__ import annotations

import grpc  # noqa: F401

from tfcanary.tf.wire import messages  # noqa: F401
