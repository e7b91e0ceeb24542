"""Confines the calling process, so that a model under trial has no network, no other files, and limited memory and time.

Everything here is permanent for the process and must run before its first thread starts. A confinement that the machine
does not offer (containers often forbid namespaces) is reported, never skipped silently.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfcanary.look.trial.mounts import check_call, read_only

WRITTEN_BYTES = 64 * 2**20
"""Largest file in bytes that a trial may write."""
SYSTEM = ("/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd")
"""Files and folders that Python and TensorFlow read outside of their own folders."""

NO_NETWORK = "no network"
FILES_CLOSED = "writes only to its empty folder, reads only the model and the libraries"
READ_ONLY = "writes only to its empty folder"
"""The confinement of files where the kernel lacks Landlock: other files can be read, but there is no network to send them."""

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
# linux/landlock.h; the system calls have the same numbers on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, RULE_PATH_BENEATH = 444, 445, 446, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = (1 << bit for bit in (0, 1, 2, 3, 14, 15))
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Number of kinds of file access in each version of Landlock; 16 from the fifth version on."""
BIND_AND_CONNECT, SOCKETS_AND_SIGNALS = 3, 3


@dataclass(frozen=True, slots=True)
class Confinement:
    """The restrictions in force and those that this machine does not offer, as parts of a sentence."""

    in_force: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def limit(memory_mib: int, cpu_seconds: int) -> None:
    """Limit address space, processor time and written files. Raises ValueError where the process already uses more memory."""
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
    """Take network and files from this process, and have the kernel kill it when its parent ends.

    `readable` are the paths that it may still read, `writable` the one folder that it may write.
    """
    if sys.platform != "linux":
        return Confinement(missing=(f"network and files are open: {sys.platform} offers no confinement",))
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return Confinement(missing=(f"network and files are open: {threads} threads already run and would not be confined",))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    in_force, missing = [], []

    def attempt(what: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError as error:
            missing.append(f"not in force here: {what} ({error.strerror})")
            return False
        in_force.append(what)
        return True

    attempt(NO_NETWORK, lambda: _leave_network(libc))
    if not attempt(FILES_CLOSED, lambda: _restrict_files(libc, readable, writable)):
        attempt(READ_ONLY, lambda: read_only(libc, writable))
    # Last, because a new user namespace clears it.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return Confinement(tuple(in_force), tuple(missing))


def _leave_network(libc: ctypes.CDLL) -> None:
    """Enter a new network namespace, whose only interface is a loopback that is down."""
    uid, gid = os.getuid(), os.getgid()
    check_call(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET))
    # Without these maps the process would see itself as another user.
    with suppress(OSError):
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{name}").write_text(text)


def _restrict_files(libc: ctypes.CDLL, readable: Iterable[Path], writable: Path) -> None:
    """Allow only the files of Landlock's rules, for this process and those that it starts. Raises OSError without Landlock."""
    version = check_call(libc.syscall(CREATE_RULESET, None, 0, 1))
    everything = (1 << ACCESS_BITS.get(version, 16)) - 1
    attributes = struct.pack("<QQQ", everything, BIND_AND_CONNECT, SOCKETS_AND_SIGNALS)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = check_call(libc.syscall(CREATE_RULESET, attributes, size, 0))
    try:
        for path in (*map(Path, SYSTEM), *readable):
            _allow(libc, ruleset, path, (EXECUTE | READ_FILE | READ_DIR) & everything)
        _allow(libc, ruleset, Path("/dev/null"), (READ_FILE | WRITE_FILE) & everything)
        _allow(libc, ruleset, writable, everything)
        check_call(libc.syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    if not path.exists():
        return
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        access = access if path.is_dir() else access & OF_A_FILE
        check_call(libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("<Qi", access, descriptor), 0))
    finally:
        os.close(descriptor)


def _address_space() -> int:
    """Bytes of this process's address space; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
