"""The process: its flags, its start by command and by fork, its end with and without a drain."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import ENVIRONMENT, ROOT, Running
from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import Options, parse, usage


def test_flags_have_the_originals_syntax_and_defaults() -> None:
    options, warnings = parse(
        ["--port=1", "--enable_model_warmup=false", "--allow_version_labels_for_unavailable_models", "--drain_seconds=2.5"]
    )
    assert options == Options(port=1, enable_model_warmup=False, allow_version_labels_for_unavailable_models=True, drain_seconds=2.5)
    assert warnings == ()
    assert (Options().port, Options().rest_api_port, Options().model_name, Options().max_num_load_retries) == (8500, 0, "default", 5)


def test_what_is_no_flag_is_named_and_passed_over() -> None:
    options, warnings = parse(["--prot=1", "--port", "7", "-x", "--num_load_threads=4", "--enable_batching"])
    assert options == Options(enable_batching=True)
    assert warnings == tuple(f"unknown argument: {one}" for one in ("--prot=1", "--port", "7", "-x"))


ORIGINALS_FLAGS = re.findall(
    r"\w+",
    """
    port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms rest_api_enable_cors_support model_config_file
    model_config_file_poll_wait_seconds model_name model_base_path file_system_poll_wait_seconds max_num_load_retries
    load_retry_interval_micros num_load_threads num_unload_threads flush_filesystem_caches allow_version_labels_for_unavailable_models
    enable_model_warmup num_request_iterations_for_warmup enable_batching batching_parameters_file enable_per_model_batching_parameters
    monitoring_config_file tensorflow_session_parallelism tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism
    tensorflow_session_config_file platform_config_file ssl_config_file saved_model_tags grpc_max_threads grpc_channel_arguments
    enable_grpc_healthcheck_service enable_profiler enable_signature_method_name_check prefer_tflite_model mixed_precision
    per_process_gpu_memory_fraction remove_unused_fields_from_bundle_metagraph
""",
)


@pytest.mark.parametrize("name", ORIGINALS_FLAGS)
def test_every_flag_of_the_original_is_known(name: str) -> None:
    default = getattr(Options(), name, "")
    assert parse([f"--{name}={default}"]) == (Options(), ())
    assert f"--{name}=" in usage()


@pytest.mark.parametrize(
    "flag",
    [
        "--port=x",
        "--port=70000",
        "--drain_seconds=-1",
        "--drain_seconds=nan",
        "--grpc_channel_arguments=a",
        "--grpc_max_threads=-1",
        "--rest_api_num_threads=-1",
        "--request_log_sample=2",
        "--enable_model_warmup=maybe",
    ],
)
def test_a_value_that_cannot_be_is_refused(flag: str) -> None:
    with pytest.raises(Refused, match=flag.split("=")[0]):
        parse([flag])


def test_the_package_is_imported_without_tensorflow() -> None:
    heavy = "('tensorflow', 'grpc', 'uvicorn', 'pyarrow')"
    code = f"import sys, tfcanary.tf.modelserver.__main__, tfcanary.tf.runtime; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_installed_command_takes_its_flags_from_the_process() -> None:
    command = Path(sys.executable).parent / "tfcanary-model-server"
    found = subprocess.run([command, "--port=x"], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (255, "--port=x: must be a whole number\n")


def without_lines_of_tensorflow(text: str) -> str:
    """Return the text without the lines that TensorFlow writes while it is imported: remarks on the processor, at any log level."""
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(("I0000 ", "WARNING: All log messages", "To enable "))
    )


def test_the_command_starts_a_server_that_dies_at_once(models: Path, tmp_path: Path) -> None:
    flags = [
        "--port=0",
        "--rest_api_port=0",
        f"--ports_file={tmp_path}/ports",
        "--model_name=m",
        f"--model_base_path={models}/half",
        "--nix=1",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "tfcanary.tf.modelserver", *flags], env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.PIPE
    ) as process:
        until = time.monotonic() + 120
        while not (tmp_path / "ports").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        ports = json.loads((tmp_path / "ports").read_text())
        reply = urllib3.request("POST", f"http://localhost:{ports['rest']}/v1/models/m:predict", body=b'{"instances": [2.0]}')
        assert reply.json() == {"predictions": [4.0]}
        process.terminate()
        assert process.wait(30) == -15
        assert without_lines_of_tensorflow(process.stderr.read().decode()) == (
            f"unknown argument: --nix=1\n{usage()}\nRunning gRPC ModelServer at 0.0.0.0:{ports['grpc']} ...\n"
            f"Exporting HTTP/REST API at:localhost:{ports['rest']} ...\n"
        )


def slow(server: Running) -> dict:
    return server.predict("slow", {"instances": [800]}).json


def ask_and_terminate(server: Running):
    """One slow request, and SIGTERM while it runs."""
    with ThreadPoolExecutor(1) as threads:
        server.predict("slow", {"instances": [20]})
        answer = threads.submit(slow, server)
        while server.metric(":tensorflow:serving:runtime_latency_count") < 1 or not answer.running():
            time.sleep(0.01)
        time.sleep(0.2)
        server.terminate()
        return answer.exception() or answer.result()


def test_a_drain_lets_the_running_request_finish(start: Start, models) -> None:
    server = start("--drain_seconds=10", models={"slow": models / "slow"}).await_ports()
    assert len(ask_and_terminate(server)["predictions"]) == 1
    assert server.wait() == 0


def test_without_a_drain_the_server_dies_with_its_requests(start: Start, models) -> None:
    server = start(models={"slow": models / "slow"}).await_ports()
    assert isinstance(ask_and_terminate(server), urllib3.exceptions.HTTPError)
    assert server.wait() == -15


def test_a_drain_does_not_wait_for_idle_connections(start: Start, models) -> None:
    server = start("--drain_seconds=60", models={"half": models / "half"}).await_ports()
    began = time.monotonic()
    server.predict("half", {"instances": [1.0]})
    server.terminate()
    assert server.wait() == 0
    assert time.monotonic() - began < 30
