"""What the server answers, without HTTP: a request's text in, a status and one JSON object out. May be called by several threads, and blocks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tfcanary import adapters
from tfcanary.act import queue
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable
from tfcanary.core.ports import Platform
from tfcanary.run.trigger import alerts, auth, events, offer, routes
from tfcanary.run.trigger.events import Message, Told
from tfcanary.run.trigger.routes import Candidate, Ignored
from tfcanary.run.trigger.settings import Settings
from tfcanary.run.trigger.trigger_metrics import Counts

OK, ACCEPTED, BAD, UNAUTHORIZED, MISSING, CONFLICT, UNAVAILABLE = 200, 202, 400, 401, 404, 409, 503

log = logging.getLogger("tfcanary.run.trigger")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and what is said with it."""

    status: int
    said: Json


@dataclass(slots=True)
class Service:
    """The three things that can be posted."""

    settings: Settings
    gate: auth.Gate
    counts: Counts
    wake: Callable[[str], None] = lambda _: None
    """Called with a model's name when somebody waits."""
    opened: dict[str, Platform] = field(default_factory=dict)

    def admit(self, authorization: str) -> Answer | None:
        """Nothing for a caller who is let in; asked before his body is read."""
        try:
            self.gate.check(authorization)
        except auth.Denied as error:
            log.warning("a caller was not let in: %s", error)
            self.counts.event("denied")
            return Answer(UNAUTHORIZED, {"error": "a bearer token that this server takes is missing"})
        except Unavailable as error:
            return self._put_off(error)
        return None

    def answer(self, method: Callable[[Message], Answer], message: Message) -> Answer:
        """The answer to a caller who was let in; every refusal is one sentence."""
        try:
            return method(message)
        except Refused as error:
            self.counts.event("refused")
            return Answer(BAD, {"error": str(error)})
        except (Unavailable, Conflict) as error:
            return self._put_off(error)

    def _put_off(self, error: TfcanaryError) -> Answer:
        log.warning("a request could not be answered now: %s", error)
        self.counts.event("unavailable")
        return Answer(UNAVAILABLE, {"error": str(error)})

    def events(self, message: Message) -> Answer:
        """Every event of a request is understood before the first is offered."""
        now = datetime.now(UTC)
        found = [routes.of_event(told, self.settings.models, now) for told in events.read(message)]
        said = [self._offered(one) for one in found]
        if len(said) == 1 and message.content_type != events.BATCH:
            return said[0]
        heard = all(one.status == OK for one in said)
        return Answer(OK if heard else ACCEPTED, {"results": [one.said for one in said]})

    def candidate(self, model: str, message: Message) -> Answer:
        """One candidate, named by whoever made it: `{"model_uri": ..., "event": ...}`; without `event`, its URI is its identity."""
        source = self.settings.models.get(model)
        if source is None:
            return Answer(MISSING, {"error": f"{model[:80]!r} is none of our models"})
        said = events.document(message.body)
        if not isinstance(said, Mapping) or not isinstance(said.get("model_uri"), str):
            raise Refused("body: must be a JSON object with the text `model_uri`, and perhaps `event`")
        event = said.get("event", said["model_uri"])
        if not isinstance(event, str) or not 0 < len(event) <= events.LONGEST:
            raise Refused(f"event: is no text of 1 to {events.LONGEST} characters")
        told = Told(f"candidates/{model}", event, "candidate", model_uri=said["model_uri"], model=model)
        return self._offered(routes.of_version(model, source, told, datetime.now(UTC)))

    def alerts(self, message: Message) -> Answer:
        """Every alert of a call; sent again as a whole where one could not be answered."""
        if not self.settings.alerts:
            return Answer(MISSING, {"error": "alerts: false in the settings"})
        said = []
        for alert in alerts.read(message.body):
            reply = alerts.act(alert, self.settings.platform, self.settings.models)
            self.counts.alert(reply.answer)
            log.info("alert: %s: %s", reply.answer, reply.reason)
            said.append({"result": reply.answer, "reason": reply.reason})
        return Answer(OK, {"results": said})

    def _offered(self, found: Candidate | Ignored) -> Answer:
        if isinstance(found, Ignored):
            self.counts.event("ignored")
            return Answer(ACCEPTED, {"result": "ignored", "reason": found.reason})
        plan = self.settings.models[found.model].decided
        platform = self._platform(found.model)
        offered = offer.offer(platform, found.waiting, plan)
        self.counts.event(offered.answer.value)
        if offered.answer is queue.Answer.HEARD:
            return Answer(OK, {"result": offered.answer.value, "reason": offered.reason})
        self.wake(found.model)
        return Answer(ACCEPTED, {"result": offered.answer.value, "reason": offered.reason})

    def _platform(self, model: str) -> Platform:
        if model not in self.opened:
            self.opened[model] = adapters.open_platform(self.settings.platform, model, self.settings.models[model].decided)
        return self.opened[model]
