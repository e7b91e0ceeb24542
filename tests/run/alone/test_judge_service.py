"""What other people's controllers are told, and who may ask."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.run.alone.http import asking
from tests.run.alone.series import Recorded
from tests.run.trigger.conftest import until
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.run.alone import judge_server
from tfcanary.run.alone.judge_service import HOOKS, JudgeService
from tfcanary.run.trigger.auth import NoAuthentication, TokenFile
from tfcanary.run.web.bounded_requests import LARGEST

TOKEN = "a-token-of-the-tests-0123"
IDLE = timedelta(seconds=600)
PAYLOAD = {"name": "digits", "namespace": "serving", "phase": "Progressing", "checksum": "85d557f47b"}


def service_of(recorded: Recorded, clock: FakeClock, begun: list[str] | None = None) -> JudgeService:
    def begin(release: str) -> Any:
        (begun if begun is not None else []).append(release)
        return recorded.watch(clock, release=release)

    return JudgeService(begin, clock, IDLE, NoAuthentication())


def flagger(service: JudgeService, hook: str, payload: Any = PAYLOAD) -> int:
    return service.flagger(hook, "", json.dumps(payload).encode()).status


def test_a_release_that_nobody_asks_about_any_more_is_no_longer_watched(recorded: Recorded, clock: FakeClock) -> None:
    begun: list[str] = []
    service = service_of(recorded, clock, begun)
    service.argo("", {"release": "7"})
    for _ in range(60):
        service.tick()
        clock.sleep(10)
    asked = len(recorded.asked)
    clock.sleep(10)
    service.tick()
    assert len(recorded.asked) == asked
    service.argo("", {"release": "7"})
    assert begun == ["7", "7"]


def test_another_release_takes_the_place_of_the_first(recorded: Recorded, clock: FakeClock) -> None:
    begun: list[str] = []
    service = service_of(recorded, clock, begun)
    service.argo("", {"release": "7"})
    service.tick()
    assert service.argo("", {"release": "8"}).body["reason"] == "the first look is still to come"
    assert begun == ["7", "8"]


def test_no_weight_rises_on_what_nobody_sees(recorded: Recorded, clock: FakeClock) -> None:
    service = service_of(recorded, clock)
    assert flagger(service, "confirm-traffic-increase") == 409, "before the first look"
    service.tick()
    assert flagger(service, "confirm-traffic-increase") == 200
    recorded.gone = {"canary"}
    clock.sleep(10)
    service.tick()
    assert flagger(service, "confirm-traffic-increase") == 409
    assert flagger(service, "rollout") == 200, "a check that fails would count against the canary"
    recorded.gone = set()
    clock.sleep(10)
    service.tick()
    assert flagger(service, "confirm-traffic-increase") == 200


def test_a_canary_that_gets_worse_after_it_was_to_promote_is_rolled_back(recorded: Recorded, clock: FakeClock) -> None:
    service = service_of(recorded, clock)

    def answers_until(wanted: str) -> set[str]:
        seen: set[str] = set()
        while wanted not in seen:
            seen.add(service.argo("", {"release": "7"}).body["result"])
            service.tick()
            clock.sleep(10)
        return seen

    assert answers_until("promote") == {"hold", "promote"}
    recorded.behaviours["canary"] = type(recorded.behaviours["canary"])(10.0, 0.5)
    assert "undecided" not in answers_until("rollback")
    assert flagger(service, "confirm-promotion", {**PAYLOAD, "checksum": "7"}) == 409


def test_a_watch_that_cannot_go_on_is_an_error_and_no_answer(recorded: Recorded, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_of(recorded, clock)
    service.argo("", {"release": "7"})
    service.tick()

    def fails(*_: object) -> None:
        raise Conflict("another process judges this release")

    with monkeypatch.context() as patch:
        patch.setattr("tfcanary.run.alone.lone_watch.LoneWatch.poll", fails)
        service.tick()
    assert service.argo("", {"release": "7"}).status == 503
    service.tick()
    assert service.argo("", {"release": "7"}).status == 200


def test_a_watch_that_cannot_begin_yet_is_asked_for_again(recorded: Recorded, clock: FakeClock) -> None:
    missing = [Unavailable("InferenceService digits: its status shows no canary")]

    def begin(release: str) -> Any:
        if missing:
            raise missing.pop()
        return recorded.watch(clock, release=release)

    service = JudgeService(begin, clock, IDLE, NoAuthentication())
    assert service.argo("", {"release": "7"}).status == 503
    service.tick()
    assert service.argo("", {"release": "7"}).status == 200


@pytest.mark.parametrize("release", ["", "../x", "a/b", "a b", "x" * 64, "-a", "{{a}}"])
def test_an_id_that_is_no_name_of_a_folder_is_refused(recorded: Recorded, clock: FakeClock, release: str) -> None:
    begun: list[str] = []
    service = service_of(recorded, clock, begun)
    assert service.argo("", {"release": release}).status == 400
    assert flagger(service, "rollout", {**PAYLOAD, "checksum": release}) == 400
    assert begun == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps({**PAYLOAD, "checksum": 7}).encode(),
        json.dumps({**PAYLOAD, "metadata": "token"}).encode(),
        json.dumps({**PAYLOAD, "metadata": {"token": 7}}).encode(),
    ],
)
def test_a_body_that_flagger_does_not_send_is_refused(recorded: Recorded, clock: FakeClock, body: bytes) -> None:
    begun: list[str] = []
    assert service_of(recorded, clock, begun).flagger("rollout", "", body).status == 400
    assert begun == []


def test_the_doors_of_the_server(recorded: Recorded, clock: FakeClock) -> None:
    with asking(service_of(recorded, clock)) as client:
        assert client.get("/healthz") == client.get("/readyz") == (200, {"ok": True})
        assert client.get("/")[0] == 404
        assert client.post("/argo", {})[0] == 405
        assert client.get("/flagger/rollout")[0] == 405
        assert client.post("/flagger/pre-rollout", PAYLOAD)[0] == 404
        assert client.ask("POST", "/flagger/rollout", b"x" * (LARGEST + 1))[0] == 413
        assert client.post("/flagger/rollout", {**PAYLOAD, "metadata": {}, "more": 1})[0] == 200
        assert client.get("/argo")[0] == 400


def test_without_the_token_nothing_is_watched(recorded: Recorded, clock: FakeClock, tmp_path: Path) -> None:
    begun: list[str] = []
    (tmp_path / "token").write_text(TOKEN)
    service = service_of(recorded, clock, begun)
    service._authenticator = TokenFile(tmp_path / "token")
    with asking(service) as client:
        assert client.get("/argo?release=7")[0] == client.get("/argo?release=7", authorization="Bearer wrong")[0] == 401
        for hook in HOOKS:
            assert client.post(f"/flagger/{hook}", PAYLOAD)[0] == 401
            assert client.post(f"/flagger/{hook}", {**PAYLOAD, "metadata": {"token": "wrong"}})[0] == 401
            assert client.post(f"/flagger/{hook}", {})[0] == 401
        assert begun == []
        assert client.get("/argo?release=7", authorization=f"Bearer {TOKEN}")[0] == 200
        assert client.post("/flagger/rollout", {**PAYLOAD, "metadata": {"token": TOKEN}})[0] == 200
        assert client.post("/flagger/rollout", PAYLOAD, authorization=f"Bearer {TOKEN}")[0] == 200


def test_other_machines_need_a_token() -> None:
    with pytest.raises(Refused, match="other machines reach this address; name a --token-file"):
        judge_server.authenticator("0.0.0.0", "")
    assert isinstance(judge_server.authenticator("127.0.0.1", ""), NoAuthentication)


def test_the_servers_own_thread_looks(recorded: Recorded, clock: FakeClock) -> None:
    with asking(service_of(recorded, clock), every=0.05) as client:
        client.get("/argo?release=7")
        until(lambda: client.get("/argo?release=7")[1]["reason"] != "the first look is still to come")
