"""Child processes that die with their parent, so that nothing is left behind even after SIGKILL.

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
    """Tie this process to the life of `parent`; a child calls it before anything else, with the process that it expects as its parent."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the line above: no signal will come any more
        os.kill(os.getpid(), signal.SIGKILL)
