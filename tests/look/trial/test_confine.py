"""What a model under trial cannot do; each attempt is made by a real process, confined as the trial's is."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ATTEMPTS = """
import json, os, socket, sys
from pathlib import Path
from tfcanary.look.trial.confine import confine, limit

secret, outside, readable, empty, port = sys.argv[1:]
confinement = confine([Path(readable), *map(Path, {sys.prefix, sys.base_prefix, *filter(None, sys.path)})], Path(empty))
limit(memory_mib=1024, cpu_seconds=60)


def attempt(act):
    try:
        act()
        return "done"
    except (OSError, MemoryError) as error:
        return type(error).__name__


print(json.dumps({
    "in force": confinement.in_force,
    "missing": confinement.missing,
    "read a secret": attempt(lambda: Path(secret).read_text()),
    "write outside": attempt(lambda: Path(outside).write_text("x")),
    "read what is allowed": attempt(lambda: (Path(readable) / "model").read_text()),
    "write in the empty folder": attempt(lambda: (Path(empty) / "file").write_text("x")),
    "connect": attempt(lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=5)),
    "send a datagram": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(port)))),
    "signal its parent": attempt(lambda: os.kill(os.getppid(), 0)),
    "take two gigabytes": attempt(lambda: bytearray(2**31)),
    "write a hundred megabytes": attempt(lambda: (Path(empty) / "file").write_bytes(bytes(100 * 2**20))),
}))
"""
NETWORK = "no network"
FILES = "writes only to its empty folder, reads only the model and the libraries"


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    import socket

    root = tmp_path_factory.mktemp("confined")
    for name in ("readable", "empty"):
        (root / name).mkdir()
    (root / "readable/model").write_text("weights")
    (root / "secret").write_text("token")
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = [*(str(root / name) for name in ("secret", "outside", "readable", "empty")), str(server.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-c", ATTEMPTS, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.returncode == 0, done.stderr
    assert not (root / "outside").exists() or FILES not in json.loads(done.stdout)["in force"]
    return json.loads(done.stdout)


def test_when_the_trial_is_killed_the_model_dies_with_it(tmp_path):
    child = (
        "import os, sys, time; from pathlib import Path; import tfcanary.look.trial.confine as c; c.confine(map(Path, sys.path), Path()); "
    )
    child += "print(os.getpid(), flush=True); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        pid = int(process.stdout.readline())
        process.kill()
    gone = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "(zombie)" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < gone
        time.sleep(0.05)


def test_whatever_is_not_in_force_is_said(attempts):
    said = {*attempts["in force"], *(sentence.removeprefix("not in force here: ").partition(" (")[0] for sentence in attempts["missing"])}
    assert said == {NETWORK, FILES}


def test_a_process_with_threads_is_not_said_to_be_confined():
    thread = "import threading, time; threading.Thread(target=time.sleep, args=[60], daemon=True).start(); "
    script = thread + "from tfcanary.look.trial.confine import confine; print(confine([], None))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[3])
    assert "2 threads already run" in done.stdout, done.stderr


def test_nothing_can_be_sent(attempts):
    if NETWORK not in attempts["in force"]:
        pytest.skip(f"this machine offers no network namespace: {attempts['missing']}")
    assert attempts["connect"] != "done"
    assert attempts["send a datagram"] != "done"


def test_only_the_model_and_the_libraries_can_be_read_and_only_the_empty_folder_written(attempts):
    if FILES not in attempts["in force"]:
        pytest.skip(f"this machine offers no Landlock: {attempts['missing']}")
    assert attempts["read a secret"] == attempts["write outside"] == "PermissionError"


def test_what_a_trial_needs_still_works(attempts):
    assert attempts["read what is allowed"] == attempts["write in the empty folder"] == "done"


def test_memory_and_files_have_an_end(attempts):
    assert attempts["take two gigabytes"] == "MemoryError"
    assert attempts["write a hundred megabytes"] == "OSError"


def test_a_process_that_is_larger_than_its_limit_already_says_so():
    script = "from tfcanary.look.trial.confine import limit; limit(memory_mib=1, cpu_seconds=1)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[3])
    assert "memory_mib 1: TensorFlow alone takes" in done.stderr
