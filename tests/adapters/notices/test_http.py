"""One notice to one receiver that is really there: what is tried again, what is not, and that it ends."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.adapters.notices.receiver import Answer, Receiver
from tfcanary.adapters import notices
from tfcanary.adapters.notices import HttpNotices
from tfcanary.core import retry
from tfcanary.core.errors import Refused, TfcanaryError, Unavailable
from tfcanary.core.plan import NotifyPlan
from tfcanary.core.ports import Notice

QUICK = HttpNotices(patience=5.0, timeout=5.0, pause=0.01)


def to(receiver: Receiver) -> NotifyPlan:
    return NotifyPlan(url=receiver.url)


def test_a_receiver_that_answers_is_told_once(receiver: Receiver, notice: Notice) -> None:
    QUICK.send(notice, to(receiver))
    (taken,) = receiver.taken
    assert (taken.path, taken.content, json.loads(taken.body)["id"]) == ("/canary", "application/json", notice.id)


@pytest.mark.parametrize("status", sorted(notices.TRANSIENT))
def test_a_receiver_that_has_trouble_is_told_again(receiver: Receiver, notice: Notice, status: int) -> None:
    receiver.answers = [Answer(status), Answer(status)]
    QUICK.send(notice, to(receiver))
    assert len(receiver.taken) == 3
    assert len({one.body for one in receiver.taken}) == 1


def test_after_four_tries_it_is_given_up(receiver: Receiver, notice: Notice) -> None:
    receiver.answers = [Answer(500)] * 9
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{receiver.port} did not take it .* the last: it answered 500"):
        QUICK.send(notice, to(receiver))
    assert len(receiver.taken) == notices.TRIES == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_a_receiver_that_says_no_is_not_told_again(receiver: Receiver, notice: Notice, status: int) -> None:
    receiver.answers = [Answer(status)]
    with pytest.raises(Refused, match=f"answered {status}"):
        QUICK.send(notice, to(receiver))
    assert len(receiver.taken) == 1


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited; nobody does."""
    waited: list[float] = []
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=time.monotonic, sleep=waited.append))
    return waited


def test_a_receiver_may_say_when_it_wants_to_be_told_again(receiver: Receiver, notice: Notice, waits: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    receiver.answers = [Answer(429, {"Retry-After": "7"}), Answer(503, {"Retry-After": date}), Answer(429, {"Retry-After": "soon"})]
    replace(QUICK, patience=2000.0).send(notice, to(receiver))
    assert waits[0] == 7
    assert 900 < waits[1] <= 1000
    assert waits[2] < 1


def test_a_receiver_that_wants_to_be_told_tomorrow_is_not_waited_for(receiver: Receiver, notice: Notice, waits: list[float]) -> None:
    receiver.answers = [Answer(429, {"Retry-After": "86400"})]
    with pytest.raises(Unavailable, match="it answered 429"):
        QUICK.send(notice, to(receiver))
    assert (waits, len(receiver.taken)) == ([], 1)


def test_a_receiver_that_hangs_is_told_again_and_then_given_up(receiver: Receiver, notice: Notice) -> None:
    receiver.answers = [Answer(how="silent")] * 9
    with pytest.raises(Unavailable, match="the last: no answer"):
        HttpNotices(patience=0.5, timeout=0.1, pause=0.01).send(notice, to(receiver))
    assert 1 < len(receiver.taken) <= notices.TRIES


def test_a_receiver_that_answers_byte_by_byte_ends_with_the_time_it_has(receiver: Receiver, notice: Notice) -> None:
    """Each byte comes within the timeout of a read."""
    receiver.answers = [Answer(how="drips")]
    with pytest.raises(Unavailable, match="no answer in time"):
        HttpNotices(patience=0.4, timeout=5.0, pause=0.01).send(notice, to(receiver))


def test_an_answer_without_an_end_is_not_read(receiver: Receiver, notice: Notice) -> None:
    receiver.answers = [Answer(how="huge")]
    QUICK.send(notice, to(receiver))
    assert len(receiver.taken) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("place", ["/elsewhere", "file:///etc/passwd", "gopher://127.0.0.1/"])
def test_a_redirection_is_not_followed(receiver: Receiver, notice: Notice, status: int, place: str) -> None:
    receiver.answers = [Answer(status, {"Location": place})]
    with pytest.raises(Refused, match="redirections are not followed"):
        QUICK.send(notice, to(receiver))
    assert len(receiver.taken) == 1


def test_where_nobody_listens_it_is_given_up(notice: Notice) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port} did not take it .* no connection"):
            QUICK.send(notice, NotifyPlan(url=f"http://127.0.0.1:{port}/canary"))


def secret_file(folder: Path, text: str) -> NotifyPlan:
    path = folder / "address"
    path.write_text(text)
    return NotifyPlan(url_file=str(path))


def test_a_secret_address_is_read_from_its_file(receiver: Receiver, notice: Notice, tmp_path: Path) -> None:
    QUICK.send(notice, secret_file(tmp_path, f"http://127.0.0.1:{receiver.port}/services/T0/B0/s3cr3t?token=x\n"))
    assert receiver.taken[0].path == "/services/T0/B0/s3cr3t?token=x"


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(404), Answer(302, {"Location": "/"}), Answer(429, {"Retry-After": "999"}), Answer(how="silent")]
)
def test_no_sentence_and_no_log_has_the_secret(
    receiver: Receiver, notice: Notice, tmp_path: Path, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [answer] * 4
    hidden = secret_file(tmp_path, f"http://jane:pa55w0rd@127.0.0.1:{receiver.port}/services/s3cr3t")
    with caplog.at_level("INFO"), pytest.raises(TfcanaryError) as failed:
        HttpNotices(patience=0.5, timeout=0.1, pause=0.01).send(notice, hidden)
    chain: BaseException | None = failed.value
    assert str(receiver.port) in str(chain)
    assert not any(word in f"{failed.value}{caplog.text}" for word in ("s3cr3t", "pa55w0rd", "jane", "services"))
    assert chain.__suppress_context__ or chain.__context__ is None


@pytest.mark.parametrize(
    "text", ["", "s3cr3t", "ftp://host/s3cr3t", "http://", "http://host:0/s3cr3t", "http://[s3cr3t", "http://a b/s3cr3t"]
)
def test_a_file_that_holds_no_address_is_refused_without_a_word_of_it(notice: Notice, tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused, match="what it holds is no http or https address") as refused:
        QUICK.send(notice, secret_file(tmp_path, text))
    assert "s3cr3t" not in str(refused.value)


def test_a_file_that_is_missing_is_refused_by_its_name(notice: Notice, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"address: cannot be read here \(No such file or directory\)"):
        QUICK.send(notice, NotifyPlan(url_file=str(tmp_path / "address")))
