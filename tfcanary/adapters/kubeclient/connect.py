"""The connection to one API server: its address, its certificates, our credentials, and one request at a time.

Alone imports the package `kubernetes`, and only for what kubectl's files and a pod's token mean. Its typed models cost seconds
and refuse answers that the server sends; so questions and answers are plain JSON here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from tfcanary import __version__
from tfcanary.core.errors import Refused, Unavailable

TIMEOUT = 10.0
"""Seconds to connect and to wait for an answer: an API server that needs 2 s for each answer works."""


class Silent(Unavailable):
    """No answer came; the text says why, in short words."""

    def __init__(self, why: str, late: bool) -> None:
        super().__init__(why)
        self.late = late
        """Whether the server was reached, and did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whatever its status."""

    status: int
    text: str
    retry_after: float = 0.0
    """Seconds after which the server wants to be asked again."""

    def body(self) -> dict[str, Any]:
        """The JSON object in the text; empty where the text is no JSON object."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to the API server."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content: str = "application/json"


class Connection:
    """A connection that the first request opens: in a pod with its service account, else with the kubeconfig. Several threads may use it."""

    def __init__(self, context: str | None = None, timeout: float = TIMEOUT) -> None:
        self._context = context
        self._timeout = timeout

    @property
    def server(self) -> str:
        """The API server's address, without a name and a password."""
        return _without_user(self._settings.host)

    def send(self, request: Request) -> Answer:
        """Ask once; raises Silent where no answer comes, Refused where the kubeconfig is of no use."""
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError, LocationValueError

        query = f"?{urlencode(request.query)}" if request.query else ""
        try:
            answer = self._pool.request(
                request.method,
                f"{self._settings.host}{request.path}{query}",
                body=None if request.body is None else json.dumps(request.body, allow_nan=False),
                headers=self._headers(request.content),
                timeout=Timeout(total=self._timeout),
                retries=False,
            )
        except LocationValueError as error:
            raise _no_address(self._settings.host) from error
        except (HTTPError, OSError) as error:
            raise _silent(error, self._timeout) from error
        return Answer(answer.status, answer.data.decode(errors="replace"), _seconds(answer.headers.get("Retry-After", "")))

    def _headers(self, content: str) -> dict[str, str]:
        """The headers of a request, with the present token: a pod gets another one every hour."""
        from kubernetes.config import ConfigException

        try:
            token = self._settings.auth_settings().get("BearerToken")
        except (ConfigException, OSError) as error:
            raise Refused(f"the credentials for {self.server} cannot be read ({_display_name(error)})") from error
        known = {"Authorization": token["value"]} if token else {}
        return {"Accept": "application/json, */*", "Content-Type": content, "User-Agent": f"tfcanary/{__version__}", **known}

    @cached_property
    def _pool(self) -> Any:
        """The pool of urllib3, with proxy and certificates. The package's own client turns a refusal into an exception without its text."""
        from kubernetes.client.rest import RESTClientObject

        return RESTClientObject(self._settings).pool_manager

    @cached_property
    def _settings(self) -> Any:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
        from yaml import YAMLError

        settings = Configuration()
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG") and not self._context
        try:
            if in_pod:
                load_incluster_config(client_configuration=settings)
            else:
                load_kube_config(_files(), context=self._context, client_configuration=settings)
        except (ConfigException, OSError) as error:
            raise Refused(f"{_source(in_pod, self._context)}: {_display_name(error)}") from error
        except (YAMLError, ValueError, TypeError, AttributeError, KeyError) as error:
            # Without its text, which may quote a line with a secret.
            raise Refused(f"{_source(in_pod, self._context)}: is no kubeconfig ({type(error).__name__})") from error
        if not str(settings.host).startswith(("https://", "http://")):
            raise _no_address(settings.host)
        return settings


def _files() -> str:
    """The kubeconfig files, as kubectl finds them. The package itself looks at the environment only once, when it is imported."""
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _source(in_pod: bool, context: str | None) -> str:
    if in_pod:
        return "the pod's service account"
    return f"kubeconfig {_files()}" + (f", context {context!r}" if context else "")


def _without_user(host: str) -> str:
    return re.sub(r"//[^/]*@", "//", host)


def _no_address(host: str) -> Refused:
    return Refused(f"kubeconfig {_files()}: server {_without_user(host)!r} is no address such as https://10.0.0.1:6443")


def _display_name(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = str(error).replace("Invalid kube-config file. ", "")
    if text == "No configuration found.":
        return "is missing; name one in $KUBECONFIG"
    missing = re.fullmatch(r"Expected object with name (\S+) in \S*?(\w+) list", text)
    return f"has no {missing[1]!r} among its {missing[2]}" if missing else text


def _seconds(text: str) -> float:
    """The header's value; 0 where it is a date, which no API server sends."""
    return float(text) if text.isdecimal() else 0.0


def _silent(error: Exception, timeout: float) -> Silent:
    from urllib3 import exceptions

    if isinstance(error, exceptions.NameResolutionError):
        return Silent("its name is not known", late=False)
    if isinstance(error, exceptions.NewConnectionError):
        return Silent(getattr(error.__cause__, "strerror", None) or "no connection", late=False)
    if isinstance(error, exceptions.SSLError):
        said = re.search(r"\] ([^(]*)", str(error))
        return Silent(f"TLS: {said[1].strip() if said else error}", late=False)
    if isinstance(error, exceptions.ProxyError):
        return Silent("the proxy before it does not answer", late=False)
    if isinstance(error, exceptions.TimeoutError):
        return Silent(f"no answer within {timeout:.0f} s", late=isinstance(error, exceptions.ReadTimeoutError))
    return Silent("the connection was closed", late=False)
