"""The supervisor's process: `python -m tfcanary.adapters.local FOLDER PORT PROGRAM`, started by `up`.

It leaves its caller at once, and says in one JSON line on its output how it came up; then its output is its log.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.program import Program
from tfcanary.adapters.local.supervisor import Supervisor
from tfcanary.core import codec
from tfcanary.core.errors import Refused

LOCK_PATIENCE = 1.0
"""Seconds for the lock: who only looks whether somebody lives holds it for an instant."""


def main(root: str, port: str, program: str) -> None:
    """Become the supervisor of a state folder, unless it has one."""
    if os.fork():
        os._exit(0)  # an orphan from here on: nobody has to wait for it
    os.chdir(root)
    folder = Folder(Path(root))
    # Open until the process ends; not inherited by its children, else the lock would outlive it.
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    if not _locked(lock):
        _say({"ok": "another supervisor lives"})
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection of a user is two of Envoy's
    refused = asyncio.run(_live(folder, int(port), codec.loads(Program, program)))
    if refused:
        os.close(lock)  # who reads the refusal may try again at once
        _say({"refused": refused})


async def _live(folder: Folder, port: int, program: Program) -> str:
    """Until it is ended; or why it may not live."""
    supervisor = Supervisor(folder, port, program)
    try:
        listening = await supervisor.begin(asked_port=port > 0)
    except Refused as error:
        await supervisor.end()
        return str(error)
    _say({"ok": "up"})
    async with listening:
        await supervisor.run()
    return ""


def _locked(handle: int) -> bool:
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _say(answer: dict[str, Any]) -> None:
    """To the caller, who waits for the end of this output."""
    print(json.dumps(answer), flush=True)
    os.dup2(2, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
