"""The HTTP API of one Prometheus: queries within a time limit, tried again, with the credentials that the plan names.

Secrets are files, which are read at each request: a token or a certificate may be replaced while a release runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfcanary.adapters.metrics.scrape_targets import LabelledValues
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import MetricsPlan
from tfcanary.core.retry import Pauses, attempts

PAUSES = Pauses(first=0.2, longest=1.0, attempts=4)
"""Between two attempts of one query."""
LONGEST_SECRET = 65_536
"""Bytes of a token or a password, at most."""


class PrometheusApi:
    """Queries one Prometheus. Every method raises Unavailable where it cannot be asked, Refused where it refuses the query or the credentials."""

    def __init__(self, url: str, plan: MetricsPlan) -> None:
        """Raises Refused where the URL is not one of a Prometheus; nothing is asked yet."""
        self._url = _check_url(url)
        self._plan = plan

    def __str__(self) -> str:
        """The address, without a user name and a password."""
        return without_password(self._url)

    def query(self, text: str, at: datetime | None = None) -> list[LabelledValues]:
        """The series of a query at one instant, by default now."""
        instant = {"time": f"{at.timestamp():.3f}"} if at else None
        return self._within_limits(lambda left: self._client.custom_query(text, instant, left))

    def query_range(self, text: str, begin: datetime, end: datetime, step: float) -> list[LabelledValues]:
        """The series of a query at instants `step` seconds apart."""
        return self._within_limits(lambda left: self._client.custom_query_range(text, begin, end, f"{step:.0f}s", timeout=left))

    @cached_property
    def _client(self) -> Any:
        # With `requests` this takes 0.2 s to import: a step that reads the servers' own pages does not pay for it.
        import requests
        from prometheus_api_client import PrometheusConnect
        from urllib3.util import Retry

        session, plan = requests.Session(), self._plan
        session.verify = plan.ca_file or True
        if plan.certificate_file:
            session.cert = (plan.certificate_file, plan.key_file) if plan.key_file else plan.certificate_file
        return PrometheusConnect(
            url=self._url, headers=dict(plan.headers), auth=_authorization(plan), session=session, retry=Retry(total=0)
        )

    def _within_limits(self, ask: Callable[[float], Any]) -> list[LabelledValues]:
        """The answer of `ask`, which is given the seconds that are left; transient failures are tried again within the plan's timeout."""
        failure: Unavailable | None = None
        for attempt in attempts(PAUSES, self._plan.timeout.total_seconds()):
            try:
                return self._once(ask, attempt.left)
            except Unavailable as error:
                failure = error
        assert failure
        raise failure

    def _once(self, ask: Callable[[float], Any], left: float) -> list[LabelledValues]:
        import requests
        from prometheus_api_client.exceptions import PrometheusApiClientException

        try:
            return [_labelled_values(one) for one in ask(left)]
        except PrometheusApiClientException as error:
            # The client keeps the status in its text only.
            raise self._error(" ".join(str(error).split())[:300]) from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Unavailable(f"{self}: the server there is not a Prometheus ({type(error).__name__})") from error
        except requests.exceptions.SSLError as error:
            reason = re.search(r"\] ([^(]*)", str(error))
            raise Unavailable(f"{self}: TLS: {reason[1].strip() if reason else 'no connection'}; see metrics.ca_file") from error
        except requests.RequestException as error:
            raise Unavailable(f"{self}: cannot reach Prometheus ({type(error).__name__})") from error
        except OSError as error:
            # requests raises it for a file of certificates that it cannot find.
            raise Refused(f"{self}: ca_file, certificate_file or key_file cannot be used ({error})") from error

    def _error(self, text: str) -> Refused | Unavailable:
        status = re.search(r"HTTP Status Code (\d+)", text)
        code = status[1] if status else ""
        if code == "401":
            return Refused(f"{self}: Prometheus does not accept the credentials; see metrics.token_file and password_file ({text})")
        if code.startswith("4") and code not in ("408", "429"):
            return Refused(f"{self}: Prometheus refuses the query ({text})")
        return Unavailable(f"{self}: Prometheus could not answer ({text})")


def _labelled_values(one: Any) -> LabelledValues:
    values = one["values"] if "values" in one else [one["value"]]
    return LabelledValues(dict(one["metric"]), tuple((float(when), float(value)) for when, value in values))


def without_password(url: str) -> str:
    """The URL without a user name and a password."""
    return re.sub(r"//[^/]*@", "//", url)


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise Refused(f"metrics.url {without_password(url)!r}: must be Prometheus' address, for example http://prometheus.monitoring:9090")
    return url.rstrip("/")


def _authorization(plan: MetricsPlan) -> Callable[[Any], Any] | None:
    """Adds the credentials of the plan's files to each request; None where the plan names none."""
    from requests.auth import HTTPBasicAuth

    def bearer(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {_secret('token_file', plan.token_file)}"
        return request

    def basic(request: Any) -> Any:
        return HTTPBasicAuth(plan.username.encode(), _secret("password_file", plan.password_file).encode())(request)

    if plan.token_file:
        return bearer
    return basic if plan.username else None


def _secret(field: str, path: str) -> str:
    """The text in a file, without the white space around it. Raises Refused, without the text, where it cannot be sent."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(LONGEST_SECRET).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Refused(f"metrics.{field} {path}: cannot be read here ({reason})") from None
    if not text or not text.isascii() or not text.isprintable():
        raise Refused(f"metrics.{field} {path}: must hold one line of ASCII text")
    return text
