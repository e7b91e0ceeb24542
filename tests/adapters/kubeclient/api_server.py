"""A small HTTP server in the place of an API server: it answers as the test wants, also with nothing at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.web import WebAnswers, WebServer


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Told:
    """What to answer: `cut` closes the connection, after the request was read; `silent` never answers."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"kind": "ConfigMap", "metadata": {"name": "a"}})
    headers: dict[str, str] = field(default_factory=dict)
    how: str = ""
    after: float = 0.0
    """Seconds."""


def status(code: int, message: str = "as the test wants it", reason: str = "", **details: Any) -> Told:
    said = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "details": details, "code": code}
    return Told(code, said)


class ApiServer(WebServer):
    """Answers what `told` says, one for each request, and then with an object."""

    def __init__(self, port: int = 0) -> None:
        self.told: list[Told] = []
        self.asked: list[Asked] = []
        super().__init__(Answers, port)

    def otherwise(self, asked: Asked) -> Told:
        """What is answered when nothing is `told`."""
        return Told()


class Answers(WebAnswers):
    server_of: ApiServer

    def answer(self) -> None:
        target = urlsplit(self.path)
        text, api = self.read(), self.server_of
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        asked = Asked(self.command, target.path, query, dict(self.headers), _body(text, self.headers.get("Content-Type", "")))
        api.asked.append(asked)
        told = api.told.pop(0) if api.told else api.otherwise(asked)
        api.closing.wait(30 if told.how == "silent" else told.after)
        if told.how or api.closing.is_set():
            self.close_connection = True
            return
        body = told.body if isinstance(told.body, str) else json.dumps(told.body)
        self.send(told.status, body.encode(), told.headers)

    do_GET = do_POST = do_PATCH = do_DELETE = answer


def _body(text: bytes, kind: str) -> Any:
    """JSON as a value; a form with a file as its text."""
    return text.decode() if kind.startswith("multipart/") else json.loads(text) if text else None


def kubeconfig(path: Path, server: str, authority: Path | None = None, **user: str) -> Path:
    """A file that names one cluster. JSON is YAML."""
    cluster = {"server": server} | ({"certificate-authority": str(authority)} if authority else {})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(json.dumps(document))
    return path
