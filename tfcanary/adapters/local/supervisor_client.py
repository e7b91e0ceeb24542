"""Questions to the supervisor: one JSON line each way over the socket in the state folder.

The lock that a supervisor holds for its life says whether one lives: the kernel releases the lock with the process, so that no process
id is ever believed.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfcanary.adapters.local.folder import Folder
from tfcanary.core.errors import Conflict, Refused, Unavailable

SOCKET = "sock"
LINE = 1 << 20
"""The most bytes of one question or answer."""
STARTING = 10.0
"""Seconds that a supervisor which holds the lock may take until it listens."""
PATIENCE = 60.0
"""Seconds for one answer: the slowest is a server's end, which may take the time of its last request."""

Json = dict[str, Any]


class Down(Unavailable):
    """No supervisor lives in the state folder, so nothing runs and no request reaches anybody."""


def is_up(folder: Folder) -> bool:
    """Return whether a supervisor lives; raises Refused where this user may not enter the folder."""
    try:
        handle = os.open(folder.lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Refused(f"state folder {folder.root}: cannot be used ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def check_up(folder: Folder) -> None:
    """Raises Down, with the command that helps, where no supervisor lives."""
    if not is_up(folder):
        raise Down(f"the embedded platform in {folder.root} is not up: `tfcanary up` starts it")


def ask(folder: Folder, do: str, patience: float = PATIENCE, **of: object) -> Any:
    """Return the supervisor's answer; raises Refused, Conflict and Unavailable as the answer says, Down where no supervisor lives."""
    with _connection(folder) as line:
        try:
            line.settimeout(patience)
            line.sendall(json.dumps({"do": do, **of}).encode() + b"\n")
            with line.makefile("rb") as answers:
                answer = answers.readline(LINE)
        except OSError as error:
            raise Unavailable(f"the supervisor in {folder.root} did not answer {do!r} ({error}); see {folder.log}") from error
    if not answer.endswith(b"\n"):
        raise Unavailable(f"the supervisor in {folder.root} ended without answering {do!r}; see {folder.log}")
    return _result(json.loads(answer))


def supervisor_pid(folder: Folder) -> int:
    """Return the id of the process that listens, as the kernel says; raises Down where none does."""
    with _connection(folder) as line:
        pid, _, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def _result(answer: Json) -> Any:
    if "refused" in answer:
        raise Refused(answer["refused"])
    if "conflict" in answer:
        raise Conflict(answer["conflict"])
    if "unavailable" in answer:
        raise Unavailable(answer["unavailable"])
    return answer["ok"]


@contextmanager
def _connection(folder: Folder) -> Iterator[socket.socket]:
    deadline = time.monotonic() + STARTING
    with socket.socket(socket.AF_UNIX) as line:
        while not _connect(line, folder):
            check_up(folder)
            if time.monotonic() > deadline:
                raise Unavailable(f"the supervisor in {folder.root} lives but does not listen; see {folder.log}")
            time.sleep(random.uniform(0.01, 0.03))
        yield line


def _connect(line: socket.socket, folder: Folder) -> bool:
    # A socket's path has at most 107 bytes, a state folder's may have more: the folder goes by its descriptor.
    try:
        handle = os.open(folder.root, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        line.connect(f"/proc/self/fd/{handle}/{SOCKET}")
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    finally:
        os.close(handle)
    return True
