"""The trigger's answers, without HTTP: a request's headers and body in, a status and a JSON object out.

The functions may be called by several threads, and block while a record is written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tfcanary import adapters
from tfcanary.act import queue
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable
from tfcanary.core.ports import Platform
from tfcanary.run.trigger import alerts, auth, events, offer, routes
from tfcanary.run.trigger.events import Event, Message
from tfcanary.run.trigger.routes import Candidate, Ignored
from tfcanary.run.trigger.settings import Settings
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.web.bounded_requests import ACCEPTED, BAD, MISSING, OK, UNAUTHORIZED, UNAVAILABLE, HttpAnswer

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(slots=True)
class Service:
    """The work behind the three paths that take a POST."""

    settings: Settings
    authenticator: auth.Authenticator
    counts: Counts
    wake: Callable[[str], None] = lambda _: None
    """Called with a model's name when a candidate of it waits."""
    platforms: dict[str, Platform] = field(default_factory=dict)
    """The platforms that are bound already, by model."""

    def admit(self, authorization: str) -> HttpAnswer | None:
        """Return None for a caller who is let in, else the answer to the caller; called before the body is read."""
        try:
            self.authenticator.check(authorization)
        except auth.Denied as error:
            log.warning("a caller was not let in: %s", error)
            self.counts.count_event("denied")
            return HttpAnswer(UNAUTHORIZED, {"error": "a bearer token that this server takes is missing"})
        except Unavailable as error:
            return self._unavailable(error)
        return None

    def answer(self, method: Callable[[Message], HttpAnswer], message: Message) -> HttpAnswer:
        """Call one of the three methods below and turn its errors into answers, each with one sentence."""
        try:
            return method(message)
        except Refused as error:
            self.counts.count_event("refused")
            return HttpAnswer(BAD, {"error": str(error)})
        except (Unavailable, Conflict) as error:
            return self._unavailable(error)

    def _unavailable(self, error: TfcanaryError) -> HttpAnswer:
        log.warning("a request could not be answered now: %s", error)
        self.counts.count_event("unavailable")
        return HttpAnswer(UNAVAILABLE, {"error": str(error)})

    def events(self, message: Message) -> HttpAnswer:
        """Offer the candidate of each event of a request; no candidate is offered before every event was understood. Raises Refused."""
        now = datetime.now(UTC)
        results = [routes.of_event(event, self.settings.models, now) for event in events.read(message)]
        answers = [self._offer(one) for one in results]
        if len(answers) == 1 and message.content_type != events.BATCH:
            return answers[0]
        repeated = all(one.status == OK for one in answers)
        return HttpAnswer(OK if repeated else ACCEPTED, {"results": [one.body for one in answers]})

    def candidate(self, model: str, message: Message) -> HttpAnswer:
        """Offer one candidate that its maker names: `{"model_uri": ..., "event": ...}`; without `event` its URI identifies it. Raises Refused."""
        source = self.settings.models.get(model)
        if source is None:
            return HttpAnswer(MISSING, {"error": f"{model[:80]!r} is none of our models"})
        body = events.parse_json(message.body)
        if not isinstance(body, Mapping) or not isinstance(body.get("model_uri"), str):
            raise Refused("body: must be a JSON object with the text `model_uri`, and perhaps `event`")
        id = body.get("event", body["model_uri"])
        if not isinstance(id, str) or not 0 < len(id) <= events.LONGEST:
            raise Refused(f"event: is no text of 1 to {events.LONGEST} characters")
        event = events.with_provenance(Event(f"candidates/{model}", id, "candidate", model_uri=body["model_uri"], model=model), body)
        return self._offer(routes.of_version(model, source, event, datetime.now(UTC)))

    def alerts(self, message: Message) -> HttpAnswer:
        """Apply every alert of a call; the sender repeats the whole call where one cannot be applied now. Raises Refused, Unavailable."""
        if not self.settings.alerts:
            return HttpAnswer(MISSING, {"error": "alerts: false in the settings"})
        results = []
        for alert in alerts.read(message.body):
            result = alerts.apply(alert, self.settings.platform, self.settings.models)
            self.counts.count_alert(result.word)
            log.info("alert: %s: %s", result.word, result.reason)
            results.append({"result": result.word, "reason": result.reason})
        return HttpAnswer(OK, {"results": results})

    def _offer(self, candidate: Candidate | Ignored) -> HttpAnswer:
        if isinstance(candidate, Ignored):
            self.counts.count_event("ignored")
            return HttpAnswer(ACCEPTED, {"result": "ignored", "reason": candidate.reason})
        model, plan = candidate.model, self.settings.models[candidate.model].resolved_plan
        if model not in self.platforms:
            self.platforms[model] = adapters.open_platform(self.settings.platform, model, plan)
        offered = offer.offer(self.platforms[model], candidate.waiting, plan)
        self.counts.count_event(offered.answer.value)
        body = {"result": offered.answer.value, "reason": offered.reason}
        if offered.answer is queue.Answer.HEARD:
            return HttpAnswer(OK, body)
        self.wake(model)
        return HttpAnswer(ACCEPTED, body)
