"""What a sealed process cannot do, with threads that run already; and the read-only view where the kernel has no Landlock."""

import json
import os
import subprocess
import sys

import pytest

from tfcanary.look.trial.process_seal import WHAT

ATTEMPTS = """
import json, os, socket, subprocess, sys, threading
from pathlib import Path
from tfcanary.look.trial import confine as module, process_seal

empty = Path(sys.argv[1])
os.chdir(empty)


def unsupported(*_):
    raise OSError(95, "not supported")


if sys.argv[2] == "no landlock":
    module._restrict_files = unsupported
confinement = module.confine([Path("/")], empty)
waiting = threading.Event()
thread = threading.Thread(target=waiting.wait)
thread.start()
words, sealed = process_seal.seal()


def attempt(act):
    try:
        act()
        return "done"
    except OSError as error:
        return type(error).__name__


said = {
    "in force": confinement.in_force,
    "sealed": sealed,
    "words": words,
    "run": attempt(lambda: subprocess.run(["true"])),
    "fork": attempt(lambda: os.fork() or os._exit(0)),
    "socket": attempt(socket.socket),
    "signal": attempt(lambda: os.kill(os.getppid(), 0)),
    "thread": attempt(lambda: threading.Thread(target=int).start()),
    "write in": attempt(lambda: (empty / "file").write_text("x")),
    "write outside": attempt(lambda: (empty.parent / "outside").write_text("x")),
}
waiting.set()
thread.join()
print(json.dumps(said))
"""


def attempts(tmp_path, how):
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-c", ATTEMPTS, str(tmp_path / "empty"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_sealed_process_starts_nothing_opens_no_socket_and_signals_nobody(tmp_path):
    said = attempts(tmp_path, "")
    assert WHAT in said["words"]
    if not said["sealed"]:
        pytest.skip(said["words"])
    assert said["run"] == said["fork"] == said["socket"] == said["signal"] == "PermissionError"
    assert said["thread"] == "done"


def test_without_landlock_nothing_can_be_written_but_in_the_empty_folder(tmp_path):
    said = attempts(tmp_path, "no landlock")
    if "writes only to its empty folder" not in said["in force"]:
        pytest.skip("this machine offers no mount namespace")
    assert said["write in"] == "done"
    assert said["write outside"] == "OSError"
