"""The connection to one API server: its address, its certificates, our credentials, and one request at a time.

No other module imports the package `kubernetes`, and this one only to read kubectl's files and a pod's token. The typed models of that
package take seconds to import and refuse some answers of the server, so requests and answers are plain JSON here.
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
"""Seconds to connect, and seconds to wait for an answer; an API server that needs 2 s for each is slow, and works."""


class ConnectionFailure(Unavailable):
    """The server did not answer; the text is a short reason."""

    def __init__(self, reason: str, late: bool) -> None:
        super().__init__(reason)
        self.late = late
        """Whether the server was reached, but did not answer in time."""


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """The answer to one request, whatever its status."""

    status: int
    text: str
    retry_after: float = 0.0
    """Seconds that the server asks to wait before the next request; 0 where it asks for none."""

    def body(self) -> dict[str, Any]:
        """The JSON object in the text; empty where the text is not one."""
        try:
            document = json.loads(self.text)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request to the API server."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content: str = "application/json"


class Connection:
    """A connection that the first request opens: in a pod with its service account, else with the kubeconfig. Threads may share it."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        """`timeout` is in seconds, for one request."""
        self._timeout = timeout

    @property
    def server(self) -> str:
        """The API server's address, without the user's name and password."""
        return _without_user(self._settings.host)

    def send(self, request: ApiRequest) -> ApiAnswer:
        """Send one request, once. Raises ConnectionFailure where no answer comes, Refused where the kubeconfig cannot be used."""
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
            raise _connection_failure(error, self._timeout) from error
        return ApiAnswer(answer.status, answer.data.decode(errors="replace"), _retry_after(answer.headers.get("Retry-After", "")))

    def _headers(self, content: str) -> dict[str, str]:
        """The headers with the present token: a pod's token is replaced every hour."""
        from kubernetes.config import ConfigException

        try:
            token = self._settings.auth_settings().get("BearerToken")
        except (ConfigException, OSError) as error:
            raise Refused(f"the credentials for {self.server} cannot be read ({_error_text(error)})") from error
        authorization = {"Authorization": token["value"]} if token else {}
        return {"Accept": "application/json, */*", "Content-Type": content, "User-Agent": f"tfcanary/{__version__}", **authorization}

    @cached_property
    def _pool(self) -> Any:
        """urllib3's pool with proxy and certificates; the package's own client turns a refusal into an exception without its text."""
        from kubernetes.client.rest import RESTClientObject

        return RESTClientObject(self._settings).pool_manager

    @cached_property
    def _settings(self) -> Any:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
        from yaml import YAMLError

        settings = Configuration()
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG")
        try:
            if in_pod:
                load_incluster_config(client_configuration=settings)
            else:
                load_kube_config(_kubeconfig_files(), client_configuration=settings)
        except (ConfigException, OSError) as error:
            raise Refused(f"{_credentials_source(in_pod)}: {_error_text(error)}") from error
        except (YAMLError, ValueError, TypeError, AttributeError, KeyError) as error:
            # Without its text, which may quote a line with a secret.
            raise Refused(f"{_credentials_source(in_pod)}: is no kubeconfig ({type(error).__name__})") from error
        if not str(settings.host).startswith(("https://", "http://")):
            raise _no_address(settings.host)
        return settings


def _kubeconfig_files() -> str:
    """The files as kubectl finds them, read anew: the package reads the environment only once, when it is imported."""
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _credentials_source(in_pod: bool) -> str:
    return "the pod's service account" if in_pod else f"kubeconfig {_kubeconfig_files()}"


def _without_user(host: str) -> str:
    return re.sub(r"//[^/]*@", "//", host)


def _no_address(host: str) -> Refused:
    return Refused(f"kubeconfig {_kubeconfig_files()}: server {_without_user(host)!r} is no address such as https://10.0.0.1:6443")


def _error_text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = str(error).replace("Invalid kube-config file. ", "")
    if text == "No configuration found.":
        return "is missing; name one in $KUBECONFIG"
    missing = re.fullmatch(r"Expected object with name (\S+) in \S*?(\w+) list", text)
    return f"has no {missing[1]!r} among its {missing[2]}" if missing else text


def _retry_after(text: str) -> float:
    """The header's value in seconds; 0 where it is a date, which no API server sends."""
    return float(text) if text.isdecimal() else 0.0


def _connection_failure(error: Exception, timeout: float) -> ConnectionFailure:
    from urllib3 import exceptions

    if isinstance(error, exceptions.NameResolutionError):
        return ConnectionFailure("its name cannot be resolved", late=False)
    if isinstance(error, exceptions.NewConnectionError):
        return ConnectionFailure(getattr(error.__cause__, "strerror", None) or "no connection", late=False)
    if isinstance(error, exceptions.SSLError):
        reason = re.search(r"\] ([^(]*)", str(error))
        return ConnectionFailure(f"TLS: {reason[1].strip() if reason else error}", late=False)
    if isinstance(error, exceptions.ProxyError):
        return ConnectionFailure("the proxy before it does not answer", late=False)
    if isinstance(error, exceptions.TimeoutError):
        return ConnectionFailure(f"no answer within {timeout:.0f} s", late=isinstance(error, exceptions.ReadTimeoutError))
    return ConnectionFailure("the connection was closed", late=False)
