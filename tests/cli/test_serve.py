"""`serve`: whatever the directory is called, one version of it is served, and the line that is printed tries it."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from tests.cli.test_cli import run
from tests.look.savedmodel.family import family
from tests.tf.modelserver.served import ENVIRONMENT, ROOT, models
from tfcanary.tf import modelserver
from tfcanary.tf.modelserver import Options

Served = list[tuple[Options, list[str], Path]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Instead of a server: its options, which versions it would find, and where the one lies."""
    found: Served = []

    def serve(options: Options) -> int:
        (version,) = Path(options.model_base_path).iterdir()
        found.append((options, [version.name], version.resolve()))
        return 255 if "busy" in options.model_name else 0

    monkeypatch.setattr(modelserver, "serve", serve)
    before = signal.getsignal(signal.SIGINT)
    yield found
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    copied = tmp_path / "exports" / "v2"
    shutil.copytree(family() / "good", copied)
    return copied


def test_a_directory_of_any_name_is_version_1(served: Served, model: Path) -> None:
    assert run("serve", model, "--name", "digits", "--port", 9001, "--grpc-port", 9000) == 0
    ((options, versions, at),) = served
    assert (versions, at) == (["1"], model)
    assert (options.model_name, options.rest_api_port, options.port, options.host) == ("digits", 9001, 9000, "127.0.0.1")
    assert not Path(options.model_base_path).exists()


def test_of_numbered_versions_the_highest_is_served(served: Served, model: Path) -> None:
    for number in ("7", "41", "notes"):
        shutil.copytree(model, model.parent / "digits" / number)
    assert run("serve", model.parent / "digits", "--name", "digits") == 0
    assert run("serve", model.parent / "digits" / "7", "--name", "digits") == 0
    shutil.copytree(model, model.parent / "digits" / "1700000000000000000")
    assert run("serve", model.parent / "digits", "--name", "digits") == 0
    assert [versions for _, versions, _ in served] == [["41"], ["7"], ["1700000000000000000"]]


def test_faults_are_injected_where_they_are_asked_for(served: Served, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("serve", model, "--name", "digits", "--inject", "errors=2%") == 0
    assert run("serve", model, "--name", "digits") == 0
    assert [options.inject for options, _, _ in served] == ["errors=2%", ""]
    assert run("serve", model, "--name", "digits", "--inject", "errors=2") == 2
    assert "--inject: 'errors=2': must be a share from 0% to 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        ("none", "digits", "is no SavedModel"),
        ("empty", "digits", "is no SavedModel"),
        ("broken", "digits", "broken/3: is no SavedModel: it has no saved_model.pb"),
        ("v2", "Digits/../x", "--name 'Digits/../x': must be"),
    ],
)
def test_what_cannot_be_served_is_bad_input(
    served: Served, model: Path, path: str, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (model.parent / "empty").mkdir()
    (model.parent / "broken" / "3").mkdir(parents=True)
    assert run("serve", model.parent / path, "--name", name) == 2
    assert said in capsys.readouterr().err
    assert served == []


def test_a_server_that_does_not_start_is_no_success(served: Served, model: Path) -> None:
    assert run("serve", model, "--name", "busy") == 3


def free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in (one, other)]


@pytest.mark.slow
def test_the_line_that_is_printed_is_answered_and_ctrl_c_is_a_clean_end() -> None:
    rest, grpc = free_ports()
    command = [sys.executable, "-m", "tfcanary", "serve", str(models() / "half"), "--name", "half"]
    command += [f"--port={rest}", f"--grpc-port={grpc}"]
    with subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = shlex.split(process.stdout.readline())
        assert line[0] == "curl"
        answer = answered(line[3], line[2], process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert answer.status == 200
    assert json.loads(answer.data)["outputs"]


def answered(address: str, body: str, process: subprocess.Popen[str]) -> urllib3.BaseHTTPResponse:
    """The first answer; nobody listens before the model is loaded."""
    until = time.monotonic() + 120
    with urllib3.PoolManager(retries=False, timeout=20) as http:
        while True:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < until, "nobody answers"
            try:
                return http.request("POST", address, body=body.encode(), preload_content=True)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)


def test_the_request_of_a_large_model_lies_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfcanary.cli import serve

    monkeypatch.setattr(serve, "LONGEST", 10)
    line = shlex.split(serve.curl_command(family() / "good", "http://h:1/p", tmp_path))
    assert line[:2] == ["curl", "-d"]
    assert line[2] == f"@{tmp_path / 'request.json'}"
    assert json.loads((tmp_path / "request.json").read_text())["inputs"]
