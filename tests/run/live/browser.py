"""A real browser that opens pages of a server on this machine, driven over its debugging protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip
BOUNDED = 60.0
"""Seconds until a test gives up waiting for the browser."""


@dataclass
class Tab:
    """One page of the browser."""

    connection: websocket.WebSocket
    _calls: int = field(default=0)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._calls += 1
        self.connection.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while (answer := json.loads(self.connection.recv())).get("id") != self._calls:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Open an address and wait until the page has been read."""
        self.call("Page.navigate", url=url)
        self.until(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def ask(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """What an expression in the page becomes once it is true."""
        deadline = time.monotonic() + BOUNDED
        while not (found := self.ask(expression)):
            assert time.monotonic() < deadline, f"not within {BOUNDED:.0f} s: {expression}; {self.ask('document.body.innerText')}"
            time.sleep(0.1)
        return found


@contextmanager
def open_tab(folder: Path, *flags: str) -> Iterator[Tab]:
    """A new browser with an empty page."""
    assert CHROMIUM
    profile = folder / "profile"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port = _port(profile / "DevToolsActivePort")
            with urlopen(f"http://127.0.0.1:{port}/json", timeout=BOUNDED) as answer:
                page = next(one for one in json.load(answer) if one["type"] == "page")
            connection = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=BOUNDED)
            try:
                yield Tab(connection)
            finally:
                connection.close()
        finally:
            process.kill()


def _port(file: Path) -> int:
    deadline = time.monotonic() + BOUNDED
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.1)
    return int(file.read_text().splitlines()[0])
