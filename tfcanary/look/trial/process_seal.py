"""Installs a seccomp filter under which no process starts and no socket opens.

Only the start of Python and TensorFlow needs these calls, so the filter comes after it and covers every thread. Namespaces
and Landlock may be missing on a machine; seccomp needs only Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

SECCOMP_SET_MODE_FILTER, ON_ALL_THREADS = 1, 1
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# struct seccomp_data: the number of the call, the architecture, and the low half of the first argument.
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
CLONE_THREAD = 0x10000
CLONE3 = 435
X32 = 0x40000000

# include/uapi/linux/audit.h; arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h.
MACHINES: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    # execve execveat fork vfork ptrace socket connect bind mount umount2 unshare setns kill process_vm_writev bpf keyctl io_uring_setup
    "x86_64": (0xC000003E, 317, 56, (59, 322, 57, 58, 101, 41, 42, 49, 165, 166, 272, 308, 62, 311, 321, 250, 425)),
    "aarch64": (0xC00000B7, 277, 220, (221, 281, 117, 198, 203, 200, 40, 39, 97, 268, 129, 271, 280, 219, 425)),
}
"""For each machine: the architecture's number, those of the system calls seccomp and clone, and those of the refused calls."""
WHAT = "starts no process, opens no socket, signals nobody"


def seal() -> tuple[str, bool]:
    """Install the filter. Returns a part of a sentence about it, and whether it is in force."""
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return f"not in force here: {WHAT} (no filter for {sys.platform} on {platform.machine()})", False
    program = _program(machine)
    buffer = ctypes.create_string_buffer(program, len(program))
    filters = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(machine[1], SECCOMP_SET_MODE_FILTER, ON_ALL_THREADS, filters):
        return f"not in force here: {WHAT} ({os.strerror(ctypes.get_errno() or errno.EPERM)})", False
    return WHAT, True


def _program(machine: tuple[int, int, int, tuple[int, ...]]) -> bytes:
    """The filter as a BPF program. Each step is an operation, the jumps where its test holds and where not, and an operand."""
    architecture, _, clone, refused = machine
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        *_refuse(AT_LEAST, X32, errno.EPERM),
        # Where clone3 does not exist, glibc calls clone, whose flags a filter can read.
        *_refuse(EQUAL, CLONE3, errno.ENOSYS),
        *(step for number in refused for step in _refuse(EQUAL, number, errno.EPERM)),
        (EQUAL, 1, 0, clone),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, 1, 0, CLONE_THREAD),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _refuse(test: int, operand: int, error: int) -> tuple[tuple[int, int, int, int], ...]:
    return (test, 0, 1, operand), (RETURN, 0, 0, REFUSE | error)
