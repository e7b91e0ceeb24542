"""A small server in the place of the model server: the same flags, the same ports file, an answer that names its version.

What it does otherwise is written in files of the version's directory: `crash` (ends while loading), `hang`, `hang-when-forked`, `slow`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import grpc

from tfcanary.tf.wire import messages

FLAGS = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
HOST = FLAGS.get("host", "0.0.0.0")
CONFIG = Path(FLAGS["model_config_file"]).read_text()
BASE = json.loads(re.search(r"base_path: (.*)", CONFIG)[1])
NUMBER = int(re.search(r"versions: (\d+)", CONFIG)[1])
VERSION = Path(BASE) / str(NUMBER)


ACTIVE: list[int] = []


@contextmanager
def under_way() -> Iterator[None]:
    ACTIVE.append(1)
    try:
        yield
    finally:
        ACTIVE.pop()


class Answer(BaseHTTPRequestHandler):
    """`?sleep=S` answers after S seconds; `/die` ends the process at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        with under_way():
            self.answer()

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = urlsplit(self.path)
        if asked.path == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(parse_qs(asked.query).get("sleep", ["0"])[0]))
        body = json.dumps({"predictions": [NUMBER], "pid": os.getpid(), "forked": "tests.adapters.local.preloaded" in sys.modules}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class Rest(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 1024


def status(_: bytes, context: object) -> bytes:
    answer = messages.GetModelStatusResponse()
    answer.model_version_status.add(version=NUMBER, state=30)
    return answer.SerializeToString()


def predict(_: bytes, context: object) -> bytes:
    return str(NUMBER).encode()


def serve_grpc() -> tuple[grpc.Server, int]:
    server = grpc.server(ThreadPoolExecutor(4))
    methods = {"GetModelStatus": grpc.unary_unary_rpc_method_handler(status)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", methods)])
    methods = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", methods)])
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    return server, port


def main() -> None:
    if (VERSION / "crash").exists():
        sys.exit("the stand-in cannot load this version")
    if (VERSION / "hang").exists():
        time.sleep(3600)
    if (VERSION / "slow").exists():
        time.sleep(1)
    if (VERSION / "hang-when-forked").exists() and "tests.adapters.local.preloaded" in sys.modules:
        time.sleep(3600)
    rest = Rest((HOST, 0), Answer)
    server, port = serve_grpc()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=rest.shutdown).start())
    aside = Path(FLAGS["ports_file"] + ".new")
    aside.write_text(json.dumps({"rest": rest.server_address[1], "grpc": port}))
    aside.rename(FLAGS["ports_file"])
    rest.serve_forever(poll_interval=0.02)
    server.stop(5).wait()
    while ACTIVE:
        time.sleep(0.01)
    os._exit(0)  # idle connections of the proxy would keep their threads


if __name__ == "__main__":
    main()
