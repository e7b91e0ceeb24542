"""Notices over HTTP: each is posted to one receiver, and tried again a few times, within a bounded time, where the receiver has trouble.

Only the status of an answer is read. No redirection is followed: it would lead to a receiver that the plan does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from tfcanary import __version__
from tfcanary.adapters.notices.envelopes import body_of
from tfcanary.core.errors import Refused, TfcanaryError, Unavailable
from tfcanary.core.plan import NotifyPlan
from tfcanary.core.plan.receivers import LONGEST_ADDRESS, address, host
from tfcanary.core.ports import Notice
from tfcanary.core.retry import Pauses, attempts

PATIENCE = 30.0
"""Seconds for one notice to one receiver, all tries together."""
TIMEOUT = 10.0
"""Seconds to connect, and seconds to wait for an answer."""
TRIES = 4
FIRST_PAUSE = 1.0
"""Seconds between the first and the second try; doubled before each further one, with jitter."""
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be another one a little later."""


class _Busy(Unavailable):
    """One try failed, and a later one may succeed."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds that the receiver asks to wait before the next try."""


@dataclass(frozen=True, slots=True)
class HttpNotices:
    """Sends notices over HTTP: the adapter of `ports.Notices`."""

    patience: float = PATIENCE
    """Seconds for all tries of one notice."""
    timeout: float = TIMEOUT
    """Seconds to connect, and seconds to wait for an answer."""
    pause: float = FIRST_PAUSE
    """Seconds between the first and the second try."""

    def send(self, notice: Notice, to: NotifyPlan) -> None:
        """Post the notice; returns once the receiver has answered with 2xx. Raises Unavailable or Refused, which name its host and never its address."""
        url = address_of(to)
        content, body = body_of(notice, to.format)
        headers = {"Content-Type": content, "User-Agent": f"tfcanary/{__version__}"}
        place, reason = host(urlsplit(url)), ""
        for attempt in attempts(Pauses(self.pause, attempts=TRIES), self.patience):
            try:
                self._within(attempt.left, url, headers, body)
                return
            except Refused as error:
                raise Refused(f"{place} {error}") from None
            except _Busy as error:
                reason, attempt.retry_after = str(error), error.retry_after
        raise Unavailable(f"{place} did not take it within {self.patience:.0f} s and {TRIES} tries; the last: {reason}")

    def _within(self, seconds: float, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Try once, in a thread: no timeout ends an answer that comes byte by byte, or a host name that is resolved for minutes."""
        outcome: Future[None] = Future()

        def post() -> None:
            try:
                _post(url, headers, body, self.timeout)
                outcome.set_result(None)
            except TfcanaryError as error:
                outcome.set_exception(error)

        Thread(target=post, name="notice", daemon=True).start()
        try:
            outcome.result(seconds)
        except FutureTimeoutError:
            raise _Busy("no answer in time") from None


def _post(url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> None:
    """Post once. Raises _Busy or Refused, both without the address, which the errors of requests would show."""
    import requests

    try:
        # Streamed, and closed unread: an answer may have any size.
        with (
            requests.Session() as session,
            session.post(url, data=body, headers=dict(headers), timeout=timeout, allow_redirects=False, stream=True) as answer,
        ):
            status, retry_after = answer.status_code, answer.headers.get("Retry-After", "")
    except requests.exceptions.InvalidURL:
        raise Refused("is not a valid host name") from None
    except requests.RequestException as error:
        raise _Busy(_reason(error, timeout)) from None
    if status in TRANSIENT:
        raise _Busy(f"it answered {status}", _seconds(retry_after))
    if 300 <= status < 400:
        raise Refused(f"answered {status}: redirections are not followed; name the address that it leads to")
    if not 200 <= status < 300:
        raise Refused(f"answered {status}: it does not take such notices at this address")


def _reason(error: Exception, timeout: float) -> str:
    from requests import exceptions

    if isinstance(error, exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, exceptions.ProxyError):
        return "the proxy before it does not answer"
    if isinstance(error, exceptions.Timeout):
        return f"no answer within {timeout:.0f} s"
    return "no connection, or it was closed"


def _seconds(text: str) -> float:
    """The seconds that a `Retry-After` header asks for, as a number or as a date; 0 where it is neither."""
    if text.isdecimal():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


def address_of(to: NotifyPlan) -> str:
    """Return the receiver's address, from the plan or from its file. Raises Refused, without the text, where the file cannot be read or holds no address."""
    if to.url:
        return to.url
    try:
        with Path(to.url_file).open(encoding="utf-8") as file:
            text = file.read(2 * LONGEST_ADDRESS).strip()
        address("what it holds", text)
    except OSError as error:
        raise Refused(f"url_file {to.url_file}: cannot be read here ({error.strerror})") from None
    except ValueError:
        raise Refused(f"url_file {to.url_file}: what it holds is no http or https address") from None
    return text
