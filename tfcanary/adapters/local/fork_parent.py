"""The fork parent: the process from which the model servers are forked. It imports TensorFlow and nothing that uses it.

A child of a process that has run a single TensorFlow operation hangs for ever: its thread pools have no threads.
So this process does nothing else. The supervisor starts it and talks to it over a socket in JSON lines:

    supervisor ▶ {"id": 1, "module": "tfcanary.tf.modelserver", "arguments": [...], "log": "..."}    ◀ {"id": 1, "pid": 77}
    supervisor ▶ {"kill": 77, "signal": 15}                                                        ◀ {"pid": 77, "code": 0}
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
from collections.abc import Iterator
from typing import Any

from tfcanary.adapters.local.die_with_parent import die_with

Json = dict[str, Any]


def main(descriptor: str, *modules: str) -> None:
    """Import the modules, then fork on demand; in a child the function goes on with the child's own module. The fork parent ends with its supervisor."""
    for module in modules:
        importlib.import_module(module)
    # A full collection in a child would copy the pages that it shares with the others.
    gc.collect()
    gc.freeze()
    job = _serve(socket.socket(fileno=int(descriptor)))
    if job:
        _become(job)


def _serve(line: socket.socket) -> Json | None:
    """Answer until the supervisor hangs up (None); in a child, return the job."""
    children: dict[int, int] = {}
    received = _lines(line)
    while True:
        readable, _, _ = select.select([line.fileno(), *children], [], [])
        for handle in children.keys() & readable:
            _send(line, _reap(handle, children.pop(handle)))
        if line.fileno() in readable:
            questions = next(received, None)
            if questions is None:
                return None
            if job := _answer(questions, line, children):
                return job


def _answer(questions: list[Json], line: socket.socket, children: dict[int, int]) -> Json | None:
    """Carry out the questions (None); in a child, return the job."""
    for question in questions:
        if "kill" in question:
            _kill(question, children)
        elif not _fork(question, line, children):
            return question
    return None


def _lines(line: socket.socket) -> Iterator[list[Json]]:
    """The complete lines of each message that arrives."""
    rest = b""
    while received := line.recv(1 << 16):
        *whole, rest = (rest + received).split(b"\n")
        yield [json.loads(one) for one in whole]


def _fork(job: Json, line: socket.socket, children: dict[int, int]) -> bool:
    """Fork; returns True in the parent and False in the child."""
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(me)
        line.close()
        for handle in children:
            os.close(handle)
        return False
    children[os.pidfd_open(pid)] = pid
    _send(line, {"id": job["id"], "pid": pid})
    return True


def _reap(handle: int, pid: int) -> Json:
    os.close(handle)
    _, status = os.waitpid(pid, 0)
    return {"pid": pid, "code": os.waitstatus_to_exitcode(status)}


def _kill(question: Json, children: dict[int, int]) -> None:
    """Signal a child that has not been waited for: its number cannot belong to another process."""
    if question["kill"] in children.values():
        os.kill(question["kill"], question["signal"])


def _send(line: socket.socket, message: Json) -> None:
    line.sendall(json.dumps(message).encode() + b"\n")


def _become(job: Json) -> None:
    """Go on in this process as `python -m module` would."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = [job["module"], *job["arguments"]]
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
