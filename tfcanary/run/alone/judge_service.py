"""The answers of `tfcanary judge --serve` to other people's controllers, without HTTP: a request in, a status and a JSON object out.

One release is watched at a time, the one that was asked about last. A request never waits for a look: a thread calls `tick`, and a
request gets what the last look found. Nobody asked for `judge.guards.blind_after`: then the watch ends.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tfcanary.core.domain import Decision, Verdict
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable
from tfcanary.core.ports import Clock
from tfcanary.run.alone.lone_watch import Answer, LoneWatch, Opinion
from tfcanary.run.alone.saved_watches import check_release
from tfcanary.run.trigger import auth
from tfcanary.run.web.bounded_requests import BAD, CONFLICT, MISSING, OK, UNAUTHORIZED, UNAVAILABLE, HttpAnswer

log = logging.getLogger("tfcanary.judge")

NOT_YET = Opinion(Verdict(Decision.HOLD, "the first look is still to come"), blind=True)
PAYLOAD = ("name", "namespace", "phase", "checksum")
"""The texts that each call of a Flagger webhook brings; `metadata` is optional."""


def _goes_on(opinion: Opinion) -> bool:
    """Whether nothing has ended the watch badly: a `rollout` hook that fails counts as a failed check."""
    return opinion.answer in (Answer.HOLD, Answer.PROMOTE)


def _may_rise(opinion: Opinion) -> bool:
    """Whether the canary may get a larger share: both tracks were counted, and no evidence is suspended."""
    suspended = any(one.gating and one.suspended for one in opinion.verdict.evidence)
    return _goes_on(opinion) and not opinion.blind and not suspended


HOOKS: Mapping[str, Callable[[Opinion], bool]] = {
    "rollout": _goes_on,
    "confirm-traffic-increase": _may_rise,
    "confirm-promotion": lambda opinion: opinion.answer is Answer.PROMOTE,
    "rollback": lambda opinion: opinion.answer in (Answer.ROLLBACK, Answer.UNDECIDED),
}
"""By the type of a Flagger webhook: whether its answer is 200. Of a `rollback` hook that means: roll back."""


class JudgeService:
    """Knows the release that is watched. Its methods may be called by several threads."""

    def __init__(self, begin: Callable[[str], LoneWatch], clock: Clock, idle: timedelta, authenticator: auth.Authenticator) -> None:
        """`begin` returns the watch of a release, which continues a state that is kept of it; nobody asked for `idle`: the watch ends."""
        self._begin, self._clock, self._idle, self._authenticator = begin, clock, idle, authenticator
        self._lock = threading.Lock()
        self._watch: LoneWatch | None = None
        self._asked: datetime = clock.now()
        self._opinion = NOT_YET
        self._trouble: TfcanaryError | None = None

    def tick(self) -> None:
        """Look once at the release that is watched, if there is one; what goes wrong is what the next request is told."""
        with self._lock:
            if self._watch and self._clock.now() - self._asked > self._idle:
                log.info("release %s: nobody asked for %s; its watch ends", self._watch.release, self._idle)
                self._watch = None
            watch = self._watch
        if watch is None:
            return
        opinion: Opinion | None = None
        trouble: TfcanaryError | None = None
        try:
            opinion = watch.poll()
            log.info("release %s: %s: %s", watch.release, opinion.answer.value, opinion.verdict.reason)
        except (Refused, Unavailable, Conflict) as error:
            log.warning("release %s: %s", watch.release, error)
            trouble = error
        with self._lock:
            if watch is self._watch:
                self._opinion, self._trouble = opinion or self._opinion, trouble

    def argo(self, authorization: str, query: Mapping[str, str]) -> HttpAnswer:
        """Answer a measurement of Argo Rollouts' Web provider; `release` names the rollout. 200 brings an answer, whichever it is."""
        if denied := self._denied(authorization):
            return denied
        return self._answer_about(query.get("release", ""), lambda _: True)

    def flagger(self, hook: str, authorization: str, body: bytes) -> HttpAnswer:
        """Answer a Flagger webhook of the type `hook`: 200 where the answer to its question is yes, 409 where it is no.

        Flagger sends no headers of the user's: without `Authorization` the token is `metadata.token`.
        """
        if hook not in HOOKS:
            return HttpAnswer(MISSING, {"error": f"there is no hook {hook[:40]!r}; use {', '.join(HOOKS)}"})
        try:
            payload = _payload(body)
        except Refused as error:
            return self._denied(authorization) or HttpAnswer(BAD, {"error": str(error)})
        token = (payload.get("metadata") or {}).get("token", "")
        if denied := self._denied(authorization or f"Bearer {token}"):
            return denied
        return self._answer_about(payload["checksum"], HOOKS[hook])

    def _denied(self, authorization: str) -> HttpAnswer | None:
        try:
            self._authenticator.check(authorization)
        except auth.Denied as error:
            log.warning("a caller was not let in: %s", error)
            return HttpAnswer(UNAUTHORIZED, {"error": "a bearer token that this server takes is missing"})
        except Unavailable as error:
            return HttpAnswer(UNAVAILABLE, {"error": str(error)})
        return None

    def _answer_about(self, release: str, is_yes: Callable[[Opinion], bool]) -> HttpAnswer:
        try:
            check_release(release)
        except Refused as error:
            return HttpAnswer(BAD, {"error": str(error)})
        try:
            opinion, trouble = self._ask(release)
        except (Refused, Unavailable) as error:
            # Where the selectors come from an object of the cluster, it may have no canary yet.
            log.warning("release %s: its watch cannot begin: %s", release, error)
            return HttpAnswer(UNAVAILABLE, {"error": str(error)})
        if trouble is not None:
            return HttpAnswer(UNAVAILABLE, {"error": str(trouble)})
        return HttpAnswer(OK if is_yes(opinion) else CONFLICT, as_json(release, opinion))

    def _ask(self, release: str) -> tuple[Opinion, TfcanaryError | None]:
        with self._lock:
            self._asked = self._clock.now()
            if self._watch is None or self._watch.release != release:
                log.info("release %s: its watch begins", release)
                self._watch, self._opinion, self._trouble = self._begin(release), NOT_YET, None
            return self._opinion, self._trouble


def as_json(release: str, opinion: Opinion) -> dict[str, Any]:
    """Return an opinion as a controller reads it: `result` is promote, rollback, undecided or hold."""
    verdict = opinion.verdict
    return {
        "result": opinion.answer.value,
        "reason": verdict.reason,
        "release": release,
        "weight": verdict.weight,
        "requests": opinion.requests,
        "findings": {one.about: one.finding.value for one in verdict.evidence if one.gating},
    }


def _payload(body: bytes) -> dict[str, Any]:
    """Read the body of a Flagger webhook; raises Refused where it is not one."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("body: must be the JSON object of a Flagger webhook") from None
    if not isinstance(payload, dict) or not all(isinstance(payload.get(key), str) for key in PAYLOAD):
        raise Refused(f"body: must be a JSON object with the texts {', '.join(PAYLOAD)}, as Flagger sends it")
    metadata = payload.get("metadata")
    if metadata is not None and not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
        raise Refused("metadata: must be an object of texts")
    return payload
