"""Starts the trial's process, waits for it no longer than the plan says, and tells how it ended."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfcanary.core import codec
from tfcanary.core.domain import Look
from tfcanary.core.errors import Refused
from tfcanary.look.trial.job import Job, Progress

RESULT_BYTES = 2**20
"""More than any trial has to say."""
START = 180.0
"""Seconds for Python and TensorFlow to start: not the model's time."""
LAST_WORDS = 2000
"""Bytes of the process's error output that are looked at for a cause."""


@dataclass(frozen=True, slots=True)
class End:
    """How the process ended."""

    doing: str
    """The last thing it said it began."""
    was_ready: bool
    look: Look | None
    refused: str
    status: int | None
    """None: it ran out of time and was killed; negative: killed by that signal."""
    seconds: float
    last_words: str = ""
    done: bool = False
    """It said everything that it had to say."""


def run(job: Job, scratch: Path) -> End:
    """Run the trial to its end or to its timeout; whatever it started is gone afterwards."""
    task, errors = scratch / "task.json", scratch / "errors.txt"
    task.write_text(codec.dumps(job))
    reading, writing = os.pipe()
    began = time.monotonic()
    with os.fdopen(reading, "rb", buffering=0) as results, task.open("rb") as stdin, errors.open("wb") as stderr:
        try:
            process = _start(stdin.fileno(), stderr.fileno(), writing, scratch / "empty")
        finally:
            os.close(writing)
        try:
            said, deadline = _listen(results.fileno(), job.plan.timeout.total_seconds())
            status = _wait(process, deadline)
        finally:
            _kill(process)
    return End(
        doing=next((one.doing for one in reversed(said) if one.doing), "starting Python"),
        was_ready=any(one.ready for one in said),
        look=next((one.look for one in reversed(said) if one.look is not None), None),
        refused=next((one.refused for one in said if one.refused), ""),
        status=status,
        seconds=time.monotonic() - began,
        last_words=_tail(errors),
        done=any(one.done for one in said),
    )


def _start(stdin: int, stderr: int, result: int, empty: Path) -> subprocess.Popen[bytes]:
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
    # -P: what a model writes into its folder must not be imported in Python's place.
    command = [sys.executable, "-P", "-m", "tfcanary.look.trial", str(result)]
    return subprocess.Popen(
        command, stdin=stdin, stdout=stderr, stderr=stderr, cwd=empty, env=environment, pass_fds=(result,), start_new_session=True
    )


def _listen(descriptor: int, timeout: float) -> tuple[list[Progress], float]:
    """What the process says until it closes its end, says too much, or time is up; and when that is."""
    said: list[Progress] = []
    deadline, ready, rest, total = time.monotonic() + START, False, b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(descriptor, 2**16)
            total += len(piece)
            if not piece or total > RESULT_BYTES:
                break
            *lines, rest = (rest + piece).split(b"\n")
            said += [one for line in lines if (one := _progress(line)) is not None]
            if any(one.ready for one in said) and not ready:
                ready, deadline = True, time.monotonic() + timeout
    return said, deadline


def _progress(line: bytes) -> Progress | None:
    """None for what the trial does not say: the model may have found the descriptor."""
    try:
        said: Progress = codec.loads(Progress, line)
    except Refused:
        return None
    return said


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole session: also what the model may have started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(errors: Path) -> str:
    with errors.open("rb") as file:
        file.seek(max(0, errors.stat().st_size - LAST_WORDS))
        return file.read().decode(errors="replace")
