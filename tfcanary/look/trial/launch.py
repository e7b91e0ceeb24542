"""Starts the trial's process, waits for its end or for the plan's timeout, and returns the result."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tfcanary.core import codec
from tfcanary.core.domain import Look, Request
from tfcanary.core.errors import Refused
from tfcanary.look.trial.job import Job, Progress

RESULT_BYTES = 2**20
"""Largest number of bytes that are read from the process, more than any trial writes."""
GOLDEN_BYTES = 2**30
"""Largest number of bytes of golden requests in JSON, which lie in a file beside the trial."""
START = 180.0
"""Seconds for the start of Python and TensorFlow, which the plan's timeout does not include."""
LAST_WORDS = 2000
"""Bytes at the end of the process's error output in which a cause is searched."""


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How the trial's process ended, and what it reported before."""

    activity: str
    """The last activity that the process began."""
    ready: bool
    """Whether TensorFlow had started."""
    look: Look | None
    refusal: str
    status: int | None
    """Exit status; negative for the signal that killed the process, None where it was killed at the timeout."""
    seconds: float
    last_words: str = ""
    """End of the process's error output."""
    complete: bool = False
    """Whether the trial had finished."""


def run(job: Job, requests: Iterable[Request], scratch: Path) -> ProcessEnd:
    """Run the trial's process to its end or to its timeout, then kill every process that it started.

    `scratch` is an empty folder for the process and its files. Raises Refused where one of the golden `requests` cannot be read.
    """
    task, golden, errors = scratch / "task.json", scratch / "golden.jsonl", scratch / "errors.txt"
    job = replace(job, left_out=_write_requests(golden, requests, job.plan.golden_limit))
    task.write_text(codec.dumps(job))
    reading, writing = os.pipe()
    began = time.monotonic()
    with (
        os.fdopen(reading, "rb", buffering=0) as results,
        task.open("rb") as stdin,
        golden.open("rb") as asked,
        errors.open("wb") as stderr,
    ):
        try:
            process = _start(stdin.fileno(), stderr.fileno(), writing, asked.fileno(), scratch / "empty")
        finally:
            os.close(writing)
        try:
            lines, deadline = _listen(results.fileno(), job.plan.timeout.total_seconds())
            status = _wait(process, deadline)
        finally:
            _kill(process)
    return ProcessEnd(
        activity=next((one.activity for one in reversed(lines) if one.activity), "starting Python"),
        ready=any(one.ready for one in lines),
        look=next((one.look for one in reversed(lines) if one.look is not None), None),
        refusal=next((one.refusal for one in lines if one.refusal), ""),
        status=status,
        seconds=time.monotonic() - began,
        last_words=_tail(errors),
        complete=any(one.complete for one in lines),
    )


def _write_requests(path: Path, requests: Iterable[Request], limit: int) -> str:
    """Write at most `limit` requests, one a line; returns why further ones are left out, empty where there are no others."""
    count = size = 0
    with path.open("w", encoding="ascii") as file:
        for request in requests:
            line = json.dumps([dict(request.body), request.id, request.label]) + "\n"
            size += len(line)
            if count == limit:
                return f"only the first {count:,} are sent (validation.golden_limit)"
            if size > GOLDEN_BYTES:
                return f"only the first {count:,} are sent, as more would have over {GOLDEN_BYTES:,} bytes"
            file.write(line)
            count += 1
    return ""


def _start(stdin: int, stderr: int, result: int, golden: int, empty: Path) -> subprocess.Popen[bytes]:
    empty.mkdir()
    root = Path(__file__).parents[3]
    environment = {
        "PATH": os.defpath,
        "HOME": str(empty),
        "TMPDIR": str(empty),
        "PYTHONPATH": os.pathsep.join((str(root), *(path for path in sys.path if path and Path(path).is_dir()))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        **{name: os.environ[name] for name in ("LD_LIBRARY_PATH", "LANG") if name in os.environ},
    }
    # -P: Python must not import a module that the model wrote into its folder.
    command = [sys.executable, "-P", "-m", "tfcanary.look.trial", str(result), str(golden)]
    return subprocess.Popen(
        command, stdin=stdin, stdout=stderr, stderr=stderr, cwd=empty, env=environment, pass_fds=(result, golden), start_new_session=True
    )


def _listen(descriptor: int, timeout: float) -> tuple[list[Progress], float]:
    """The lines of the process until it closes the pipe, writes too much or reaches the deadline; and that deadline.

    The deadline is on the monotonic clock; it is set anew, `timeout` seconds away, when TensorFlow has started.
    """
    progress: list[Progress] = []
    deadline, ready, rest, total = time.monotonic() + START, False, b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(descriptor, 2**16)
            total += len(piece)
            if not piece or total > RESULT_BYTES:
                break
            *lines, rest = (rest + piece).split(b"\n")
            progress += [one for line in lines if (one := _progress(line)) is not None]
            if any(one.ready for one in progress) and not ready:
                ready, deadline = True, time.monotonic() + timeout
    return progress, deadline


def _progress(line: bytes) -> Progress | None:
    """The progress in a line; None for an invalid line, which the model can write where it finds the descriptor."""
    try:
        progress: Progress = codec.loads(Progress, line)
    except Refused:
        return None
    return progress


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole session, with every process that the model started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(errors: Path) -> str:
    with errors.open("rb") as file:
        file.seek(max(0, errors.stat().st_size - LAST_WORDS))
        return file.read().decode(errors="replace")
