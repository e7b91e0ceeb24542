"""The supervisor's process: `python -m tfcanary.adapters.local FOLDER PORT PROGRAM`, started by `up`.

The process detaches from its caller at once, and prints one JSON line that says how it came up; from then on its output is its log.
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
from tfcanary.core.errors import Refused, TfcanaryError

LOCK_PATIENCE = 1.0
"""Seconds to wait for the lock: whoever only asks whether a supervisor lives holds it for an instant."""


def main(root: str, port: str, program: str) -> None:
    """Become the supervisor of a state folder, unless the folder has one."""
    if os.fork():
        os._exit(0)  # the child is an orphan from here on: nobody has to wait for it
    os.chdir(root)
    folder = Folder(Path(root))
    # Open until the process ends; its children do not inherit it, else the lock would outlive the process.
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(lock):
        _print({"ok": "another supervisor lives"})
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection of a user needs two descriptors of Envoy
    failure = asyncio.run(_serve(folder, int(port), codec.loads(Program, program)))
    if failure:
        os.close(lock)  # whoever reads the refusal may try again at once
        _print(failure)


async def _serve(folder: Folder, port: int, program: Program) -> dict[str, Any]:
    """Supervise until `down`; or return at once why the platform cannot be up."""
    supervisor = Supervisor(folder, port, program)
    try:
        listening = await supervisor.begin(asked_port=port > 0)
    except TfcanaryError as error:
        await supervisor.end()
        return {"refused" if isinstance(error, Refused) else "unavailable": str(error)}
    _print({"ok": "up"})
    async with listening:
        await supervisor.run()
    return {}


def _lock(handle: int) -> bool:
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


def _print(answer: dict[str, Any]) -> None:
    """Tell the caller, who waits for the end of this output."""
    print(json.dumps(answer), flush=True)
    os.dup2(2, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
