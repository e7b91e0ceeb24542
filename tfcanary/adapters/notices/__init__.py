"""Notices by HTTP: each is posted to one receiver, a few times where that does not take it, and for a bounded time.

Nothing that a receiver answers is read but its status. No redirection is followed: who answers with one is not the one who
was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
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
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What may be answered better a little later."""


class Busy(Unavailable):
    """A try failed, and the next may not."""

    def __init__(self, why: str, wanted: float = 0.0) -> None:
        super().__init__(why)
        self.wanted = wanted
        """Seconds after which the receiver wants to be asked again."""


@dataclass(frozen=True, slots=True)
class HttpNotices:
    """`ports.Notices`."""

    patience: float = PATIENCE
    timeout: float = TIMEOUT
    pause: float = FIRST_PAUSE

    def send(self, notice: Notice, to: NotifyPlan) -> None:
        """Returns once the receiver has answered with 2xx. Raises Unavailable or Refused, naming its host and never its address."""
        url = _address(to)
        content, body = body_of(notice, to.format)
        headers = {"Content-Type": content, "User-Agent": f"tfcanary/{__version__}"}
        place, reason = host(urlsplit(url)), ""
        for attempt in attempts(Pauses(self.pause, attempts=TRIES), self.patience):
            try:
                self._within(attempt.left, url, headers, body)
                return
            except Refused as error:
                raise Refused(f"{place} {error}") from None
            except Busy as error:
                reason, attempt.wanted = str(error), error.wanted
        raise Unavailable(f"{place} did not take it within {self.patience:.0f} s and {TRIES} tries; the last: {reason}")

    def _within(self, seconds: float, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """One try. In a thread, for a receiver that answers byte by byte, or a name that is looked up for minutes, knows no timeout."""
        done: Future[None] = Future()

        def post() -> None:
            try:
                _post(url, headers, body, self.timeout)
                done.set_result(None)
            except TfcanaryError as error:
                done.set_exception(error)

        Thread(target=post, name="notice", daemon=True).start()
        try:
            done.result(seconds)
        except Late:
            raise Busy("no answer in time") from None


def _post(url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> None:
    """Raises Busy or Refused, without the address: requests has it in the text of its errors."""
    import requests

    try:
        # Streamed, and closed unread: an answer may be as large as it likes.
        with (
            requests.Session() as session,
            session.post(url, data=body, headers=dict(headers), timeout=timeout, allow_redirects=False, stream=True) as answer,
        ):
            status, wanted = answer.status_code, answer.headers.get("Retry-After", "")
    except requests.exceptions.InvalidURL:
        raise Refused("is no host that could be asked") from None
    except requests.RequestException as error:
        raise Busy(_why(error, timeout)) from None
    if status in AGAIN:
        raise Busy(f"it answered {status}", _seconds(wanted))
    if 300 <= status < 400:
        raise Refused(f"answered {status}: redirections are not followed; name the address that it leads to")
    if not 200 <= status < 300:
        raise Refused(f"answered {status}: it does not take such notices at this address")


def _why(error: Exception, timeout: float) -> str:
    from requests import exceptions

    if isinstance(error, exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, exceptions.ProxyError):
        return "the proxy before it does not answer"
    if isinstance(error, exceptions.Timeout):
        return f"no answer within {timeout:.0f} s"
    return "no connection, or it was closed"


def _seconds(text: str) -> float:
    """Of a `Retry-After`: a number, or a date; 0 where it is neither."""
    if text.isdecimal():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


def _address(to: NotifyPlan) -> str:
    """The plan's own, or what its file holds; raises Refused, without a word of that, where it cannot be read or is none."""
    if to.url:
        return to.url
    try:
        with Path(to.url_file).open(encoding="utf-8") as file:
            found = file.read(2 * LONGEST_ADDRESS).strip()
        address("what it holds", found)
    except OSError as error:
        raise Refused(f"url_file {to.url_file}: cannot be read here ({error.strerror})") from None
    except ValueError:
        raise Refused(f"url_file {to.url_file}: what it holds is no http or https address") from None
    return found
