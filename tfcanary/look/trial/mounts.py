"""Makes the file system read-only for this process, except for one folder: for kernels without Landlock."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
# linux/mount.h; the call's number is the same on every architecture.
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, READ_ONLY = 442, -100, 0x8000, 1
CAPABILITIES_3 = 0x20080522


def read_only(libc: ctypes.CDLL, writable: Path) -> None:
    """Make every file system but the folder `writable` read-only, for this process alone.

    The process must be in a user namespace of its own, and gives up the capabilities that it has there. Raises OSError where
    the kernel does not allow it.
    """
    # A plain None is no null pointer in a variadic call of ctypes.
    nothing = ctypes.c_char_p(None)
    folder = os.fsencode(writable)
    check_call(libc.unshare(CLONE_NEWNS))
    check_call(libc.mount(nothing, b"/", nothing, ctypes.c_ulong(MS_REC | MS_PRIVATE), nothing))
    check_call(libc.mount(folder, folder, nothing, ctypes.c_ulong(MS_BIND), nothing))
    _set(libc, b"/", AT_RECURSIVE, struct.pack("<QQQQ", READ_ONLY, 0, 0, 0))
    _set(libc, folder, 0, struct.pack("<QQQQ", 0, READ_ONLY, 0, 0))
    os.chdir(writable)
    # Without its capabilities the process cannot mount anything back.
    check_call(libc.capset(struct.pack("<Ii", CAPABILITIES_3, 0), bytes(24)))


def _set(libc: ctypes.CDLL, path: bytes, flags: int, attributes: bytes) -> None:
    check_call(libc.syscall(MOUNT_SETATTR, AT_FDCWD, path, flags, attributes, ctypes.c_size_t(len(attributes))))


def check_call(result: int) -> int:
    """The result of a system call. Raises OSError where it is negative."""
    if result < 0:
        code = ctypes.get_errno() or errno.EPERM
        raise OSError(code, os.strerror(code))
    return result
