"""Takes from a process what a model under trial must not have: the network, other files, memory and time without end.

Everything here acts on the calling process for good and must run before its first thread starts. What a machine does not
offer (containers often forbid namespaces) is said, not skipped.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfcanary.look.trial.mounts import read_only

WRITTEN_BYTES = 64 * 2**20
"""Largest file that a trial may write."""
SYSTEM = ("/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd")
"""What Python and TensorFlow read besides their own folders."""

NO_NETWORK = "no network"
FILES_CLOSED = "writes only to its empty folder, reads only the model and the libraries"
READ_ONLY = "writes only to its empty folder"
"""Where the kernel has no Landlock: other files can be read, but nowhere sent."""

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
# linux/landlock.h; the numbers of the calls are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, RULE_PATH_BENEATH = 444, 445, 446, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = (1 << bit for bit in (0, 1, 2, 3, 14, 15))
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Kinds of access to files that each version of Landlock knows; 16 from the fifth on."""
BIND_AND_CONNECT, SOCKETS_AND_SIGNALS = 3, 3


@dataclass(frozen=True, slots=True)
class Confinement:
    """What is in force, and what this machine does not offer, as parts of a sentence."""

    held: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


def limit(memory_mib: int, cpu_seconds: int) -> None:
    """Cap address space, processor time and written files. Raises ValueError where the process is larger than that already."""
    used = _address_space()
    if used >= memory_mib * 2**20:
        raise ValueError(f"memory_mib {memory_mib}: TensorFlow alone takes {used // 2**20} MiB of address space")
    for kind, soft in (
        (resource.RLIMIT_AS, memory_mib * 2**20),
        (resource.RLIMIT_FSIZE, WRITTEN_BYTES),
        (resource.RLIMIT_CPU, cpu_seconds),
    ):
        hard = resource.getrlimit(kind)[1]
        top = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(kind, (top, top))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def confine(readable: Iterable[Path], writable: Path) -> Confinement:
    """Cut off network and files, and die with the parent."""
    if sys.platform != "linux":
        return Confinement(open=(f"network and files are open: {sys.platform} offers no confinement",))
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return Confinement(open=(f"network and files are open: {threads} threads run already and would stay free",))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    held, left = [], []

    def attempt(what: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError as error:
            left.append(f"not in force here: {what} ({error.strerror})")
            return False
        held.append(what)
        return True

    attempt(NO_NETWORK, lambda: _leave_network(libc))
    if not attempt(FILES_CLOSED, lambda: _restrict_files(libc, readable, writable)):
        attempt(READ_ONLY, lambda: read_only(libc, writable))
    # Last, because a new user namespace clears it.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return Confinement(tuple(held), tuple(left))


def _leave_network(libc: ctypes.CDLL) -> None:
    """A network namespace of its own has no interface but a loopback that is down."""
    uid, gid = os.getuid(), os.getgid()
    _checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET))
    # Only so that the process goes on seeing itself under its name.
    with suppress(OSError):
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{name}").write_text(text)


def _restrict_files(libc: ctypes.CDLL, readable: Iterable[Path], writable: Path) -> None:
    """Landlock: from here on only what a rule allows can be opened, by this process and whatever it starts."""
    version = _checked(libc.syscall(CREATE_RULESET, None, 0, 1))
    everything = (1 << ACCESS_BITS.get(version, 16)) - 1
    attributes = struct.pack("<QQQ", everything, BIND_AND_CONNECT, SOCKETS_AND_SIGNALS)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(libc.syscall(CREATE_RULESET, attributes, size, 0))
    try:
        for path in (*map(Path, SYSTEM), *readable):
            _allow(libc, ruleset, path, (EXECUTE | READ_FILE | READ_DIR) & everything)
        _allow(libc, ruleset, Path("/dev/null"), (READ_FILE | WRITE_FILE) & everything)
        _allow(libc, ruleset, writable, everything)
        _checked(libc.syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    if not path.exists():
        return
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        access = access if path.is_dir() else access & OF_A_FILE
        _checked(libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("<Qi", access, descriptor), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno() or errno.EPERM
        raise OSError(code, os.strerror(code))
    return result


def _address_space() -> int:
    """Bytes of this process's address space; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
