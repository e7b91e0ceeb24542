"""The process that the model servers are forked from. It imports TensorFlow and nothing that uses it.

A child of a process that has run a single TensorFlow operation hangs for ever: its thread pools have no threads.
So this is a process for this alone, started by the supervisor, spoken to over a socket in JSON lines:

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
    """Import, then fork on demand. In a child this goes on with the child's own module; the fork parent ends with its supervisor."""
    for module in modules:
        importlib.import_module(module)
    # A full collection in a child would copy the pages that it shares with the others.
    gc.collect()
    gc.freeze()
    job = _serve(socket.socket(fileno=int(descriptor)))
    if job:
        _become(job)


def _serve(line: socket.socket) -> Json | None:
    """The job, in a child; None where the supervisor has hung up."""
    children: dict[int, int] = {}
    received = _lines(line)
    while True:
        readable, _, _ = select.select([line.fileno(), *children], [], [])
        for handle in children.keys() & readable:
            _say(line, _ended(handle, children.pop(handle)))
        if line.fileno() in readable:
            questions = next(received, None)
            if questions is None:
                return None
            if job := _answered(questions, line, children):
                return job


def _answered(questions: list[Json], line: socket.socket, children: dict[int, int]) -> Json | None:
    """The job, in a child; None in the parent, which goes on."""
    for question in questions:
        if "kill" in question:
            _kill(question, children)
        elif not _forked(question, line, children):
            return question
    return None


def _lines(line: socket.socket) -> Iterator[list[Json]]:
    """The complete lines of each reception."""
    rest = b""
    while received := line.recv(1 << 16):
        *whole, rest = (rest + received).split(b"\n")
        yield [json.loads(one) for one in whole]


def _forked(job: Json, line: socket.socket, children: dict[int, int]) -> bool:
    """Fork: True in the parent, False in the child."""
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(me)
        line.close()
        for handle in children:
            os.close(handle)
        return False
    children[os.pidfd_open(pid)] = pid
    _say(line, {"id": job["id"], "pid": pid})
    return True


def _ended(handle: int, pid: int) -> Json:
    os.close(handle)
    _, status = os.waitpid(pid, 0)
    return {"pid": pid, "code": os.waitstatus_to_exitcode(status)}


def _kill(question: Json, children: dict[int, int]) -> None:
    """Only what has not been waited for: its number cannot belong to anybody else."""
    if question["kill"] in children.values():
        os.kill(question["kill"], question["signal"])


def _say(line: socket.socket, message: Json) -> None:
    line.sendall(json.dumps(message).encode() + b"\n")


def _become(job: Json) -> None:
    """Go on as `python -m module` would."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = [job["module"], *job["arguments"]]
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
