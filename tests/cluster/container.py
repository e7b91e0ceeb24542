"""One container of a pod: its image, its process, again and again, and the status that says so."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from tests.cluster import volumes
from tests.cluster.api import ApiError, Json
from tests.cluster.execute import NOT_STARTED
from tests.cluster.forks import Process
from tests.cluster.images import Image, repository
from tests.cluster.probes import Probes

if TYPE_CHECKING:
    from tests.cluster.pod import Pod

BACKOFF = 0.5
"""Seconds before the second new start; doubled with each one that follows. A kubelet begins with 10."""
LONGEST_BACKOFF = 10.0
MESSAGE = 2048
"""Bytes of a log that become the message of a container's end."""
STEADY = 20.0
"""Seconds after which a container has come up well, and its next end is its first again."""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Container:
    """Runs until its pod ends; `before` is its status from a time when the node was lost."""

    def __init__(self, pod: Pod, spec: Json, before: Json | None = None) -> None:
        self._pod, self._spec = pod, spec
        self.process: Process | None = None
        self.status: Json = {
            "name": spec["name"],
            "image": spec["image"],
            "imageID": f"{repository(spec['image'])}@sha256:{hashlib.sha256(spec['image'].encode()).hexdigest()}",
            "ready": False,
            "started": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}},
            "lastState": {},
        }
        if before and "running" in before["state"]:
            lost = {"exitCode": 137, "reason": "Error", "startedAt": before["state"]["running"]["startedAt"], "finishedAt": now()}
            self.status |= {"restartCount": before["restartCount"] + 1, "lastState": {"terminated": lost}}

    def run(self) -> None:
        """Start it whenever it ends, as the pod's policy says."""
        failures = 0
        while not self._pod.ending.is_set():
            began = time.monotonic()
            code = self._once()
            if not self._again(code):
                return
            failures = failures + 1 if time.monotonic() - began < STEADY else 1
            if failures > 1:
                waiting = {"reason": "CrashLoopBackOff", "message": f"back-off restarting failed container={self.status['name']}"}
                self._tell(state={"waiting": waiting})
                self._pod.ending.wait(min(BACKOFF * 2 ** (failures - 2), LONGEST_BACKOFF))
            with self._pod.lock:
                self.status["restartCount"] += 1

    def run_once(self) -> bool:
        """As an init container; whether it ended well."""
        if self.status["lastState"]:
            with self._pod.lock:
                self.status["restartCount"] += 1
        return self._once() == 0

    def signal(self, number: int) -> None:
        if process := self.process:
            process.signal(number)

    def _once(self) -> int:
        """One life; the exit code."""
        began, reason, said = now(), "", self._said()
        try:
            process = self._start()
        except OSError as error:
            code, reason = NOT_STARTED, f"StartError: {error}"
        else:
            self._tell(state={"running": {"startedAt": began}})
            probes = Probes(
                self._spec,
                self._pod.address,
                ready=lambda ready: self._tell(process, ready=ready),
                started=lambda: self._tell(process, started=True),
                failed=lambda: self._kill(process),
            )
            code = process.wait() or 0
            probes.stop()
            with self._pod.lock:
                self.process = None
        code = 128 - code if code < 0 else code
        ended = {"exitCode": code, "startedAt": began, "finishedAt": now(), "reason": reason or ("Error" if code else "Completed")}
        if code and self._spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            ended["message"] = self._said()[len(said) :][-MESSAGE:].decode(errors="replace")
        self._ended({"terminated": ended})
        return code

    def _said(self) -> bytes:
        """Its log, of every life."""
        log = self._pod.log(self._spec["name"])
        return log.read_bytes() if log.exists() else b""

    def _ended(self, state: Json) -> None:
        again = self._again(state["terminated"]["exitCode"])
        self._tell(ready=False, started=False, state=state, **({"lastState": state} if again else {}))

    def _again(self, code: int) -> bool:
        policy = self._pod.spec.get("restartPolicy", "Always")
        return not self._pod.ending.is_set() and (policy == "Always" or (policy == "OnFailure" and code != 0))

    def _start(self) -> Process:
        """Raises OSError where it cannot be started, or need not be any more."""
        image, environment = self._image(), self._environment()
        moved = volumes.places(self._spec, self._pod.volumes)
        own = self._pod.environment()  # real paths already
        environment = {name: value if own.get(name) == value else volumes.really(value, moved) for name, value in environment.items()}
        command, arguments = (
            [volumes.really(volumes.expand(text, environment), moved) for text in self._spec.get(kind, [])] for kind in ("command", "args")
        )
        start = image(command, arguments, self._pod.address)
        job = json.dumps({"command": start.command, "environment": environment})
        process = self._pod.node.forks(start.preloaded).fork(start.module, [job], self._pod.log(self._spec["name"]))
        with self._pod.lock:
            self.process = process
            if self._pod.ending.is_set():
                process.signal(signal.SIGKILL)
        return process

    def _image(self) -> Image:
        """Pulled again and again until there is one."""
        name = repository(self._spec["image"])
        for attempt in count():
            if name in self._pod.node.images:
                break
            reason = "ImagePullBackOff" if attempt % 2 else "ErrImagePull"
            self._wait_because(reason, f'failed to pull image "{self._spec["image"]}": not found')
        return self._pod.node.images[name]

    def _environment(self) -> dict[str, str]:
        while True:
            try:
                return volumes.variables(self._spec, self._pod.environment(), self._pod.fields(), self._pod.read)
            except (ApiError, KeyError, OSError) as error:
                self._wait_because("CreateContainerConfigError", str(error))

    def _wait_because(self, reason: str, message: str) -> None:
        self._tell(state={"waiting": {"reason": reason, "message": message}})
        if self._pod.ending.wait(BACKOFF):
            raise OSError("the pod is ending")

    def _kill(self, process: Process) -> None:
        """A probe has failed for too long: as a kubelet does it, with the pod's grace."""
        process.signal(signal.SIGTERM)
        if process.wait(self._pod.spec.get("terminationGracePeriodSeconds", 30)) is None:
            process.signal(signal.SIGKILL)

    def _tell(self, of: Process | None = None, /, **changed: object) -> None:
        """What has changed; `of` a process: unless it has ended."""
        with self._pod.lock:
            if of is not self.process and of is not None:
                return
            self.status.update(changed)
        self._pod.report()
