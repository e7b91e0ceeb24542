"""A child that dies with its parent: what makes `nothing left behind` true even after SIGKILL.

The kernel sends the signal when the parent's *thread* that started the child ends, so children are started from
the main thread only. It does not reach grandchildren: each generation ties itself.
"""

from __future__ import annotations

import ctypes
import os
import signal

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Called by the child, before anything else, with the process that it expects as its parent."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above: no signal will come any more
        os.kill(os.getpid(), signal.SIGKILL)
