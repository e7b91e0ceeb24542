"""What an answer of the API server means for the caller: to try again, or an error with one sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tfcanary.adapters.kubeclient.connect import Answer, Request
from tfcanary.adapters.kubeclient.object_names import MANAGER
from tfcanary.adapters.kubeclient.resources import PAGES, Resource
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable

PASSING = frozenset({429, 500, 502, 503, 504})
"""The statuses of an API server that is busy, starting, or behind a proxy that does not reach it."""
JSON_PATCH = "application/json-patch+json"
FORBIDDEN = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"')
"""The words of a refusal by role-based access control; other refusals with 403 (quotas, admission) have other words."""


class ForeignFields(Refused):
    """Somebody else owns fields that a server-side apply would change."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request and its subject."""

    verb: str
    """What the request does, for people: an `apply` is a `patch` in rights."""
    resource: Resource
    namespace: str
    name: str
    request: Request

    def __str__(self) -> str:
        what = f"{self.verb} {f'{self.resource.kind} {self.name}'.strip()}"
        return what if self.resource.everywhere else f"{what} in namespace {self.namespace}"

    @property
    def of_a_pod(self) -> bool:
        """Whether the answer is a pod's, through the server."""
        return self.resource is PAGES

    @property
    def compares(self) -> bool:
        """Whether the write names the version of the object over which it may be made."""
        body = self.request.body
        if self.request.content == JSON_PATCH:
            return any(one["path"] == "/metadata/resourceVersion" for one in body)
        return isinstance(body, dict) and ("resourceVersion" in body.get("metadata", {}) or "preconditions" in body)


def may_pass(question: Question, answer: Answer) -> bool:
    """Whether the same question may be answered better a little later."""
    if question.of_a_pod:
        return answer.status == 429  # any other is the pod's own, or says that there is none
    if answer.status == 409:
        # Two writes met in the store. A conflict of fields, or of a state that the write names, is there to stay.
        return status_field(answer, "reason") == "Conflict" and not owners(answer) and not question.compares
    return answer.status in PASSING and not _misfit(answer)


def short(answer: Answer) -> str:
    """The status and the server's words."""
    words = str(status_field(answer, "message") or answer.text)
    return f"{answer.status} {' '.join(words.split())[:500]}".strip()


def status_field(answer: Answer, name: str) -> object:
    """A field of the Status object with which the server answers where it does not answer with the object itself."""
    body = answer.body()
    return body.get(name) if body.get("kind") == "Status" else None


def is_missing(answer: Answer, name: str) -> bool:
    """Whether the server says that the object does not exist, and not that it knows no such kind or namespace."""
    return answer.status == 404 and _details(answer).get("name") == name and _details(answer).get("kind") != "namespaces"


def owners(answer: Answer) -> tuple[tuple[str, str], ...]:
    """The fields in dispute in a conflict of server-side apply, each with a manager that owns it; a field may have several owners."""
    causes = _details(answer).get("causes") or [] if answer.status == 409 else []
    named = [(one.get("field", ""), re.search(r'conflict with "([^"]*)"', one.get("message", ""))) for one in causes]
    return tuple((str(field), owner[1]) for field, owner in named if owner)


def complaint(server: str, question: Question, answer: Answer) -> TfcanaryError:
    """The error for an answer that is not the object."""
    if answer.status == 409 and (disputed := owners(answer)):
        return ForeignFields(_foreign_fields(question, disputed))
    if answer.status == 409:
        return Conflict(_conflict(question, answer))
    if question.compares and is_missing(answer, question.name):
        return Conflict(f"{question}: it was deleted meanwhile")
    if answer.status == 422 and question.request.content == JSON_PATCH and not _details(answer):
        return _failed_test(question)
    if answer.status == 401:
        return Refused(f"{question}: {server} does not know who asks (401); log in again, or look at the token in the kubeconfig")
    if answer.status == 403:
        return Refused(_forbidden(question, answer))
    if answer.status == 404:
        return Refused(_missing(server, question, answer))
    if answer.status == 410:
        return Unavailable(f"{question}: the list is too old to go on with; ask again")
    if 400 <= answer.status < 500 or _misfit(answer):
        return Refused(f"{question}: {server} refuses it: {short(answer)}")
    return Unavailable(f"{question}: what answers at {server} is no Kubernetes API server (status {answer.status})")


def _details(answer: Answer) -> dict[str, Any]:
    details = status_field(answer, "details")
    return details if isinstance(details, dict) else {}


def _misfit(answer: Answer) -> bool:
    """Whether a body does not fit the schema: server-side apply answers with 500, as if it were the server's fault."""
    return answer.status == 500 and "failed to create typed patch object" in answer.text


def _foreign_fields(question: Question, disputed: Iterable[tuple[str, str]]) -> str:
    fields = ", ".join(f"{field} (owned by {owner})" for field, owner in disputed if owner != MANAGER)
    return f"{question}: others hold {fields}; let them give it up, or agree with them on the value"


def _conflict(question: Question, answer: Answer) -> str:
    if status_field(answer, "reason") == "AlreadyExists":
        return f"{question}: it exists already"
    return f"{question}: it was changed meanwhile"


def _failed_test(question: Question) -> TfcanaryError:
    """The error for a JSON patch that failed: the server has the same words for a failed `test` and for a missing path."""
    if any(one["op"] == "test" for one in question.request.body):
        return Conflict(f"{question}: it is no longer as it was read")
    paths = ", ".join(str(one["path"]) for one in question.request.body)
    return Refused(f"{question}: the patch does not fit the object; it changes {paths}")


def _forbidden(question: Question, answer: Answer) -> str:
    denied = FORBIDDEN.search(answer.text.replace('\\"', '"'))
    if not denied:
        return f"{question}: forbidden: {status_field(answer, 'message') or answer.text[:500]}"
    what = f"`{denied['resource']}` in API group `{denied['group']}`"
    where = f"in namespace {question.namespace}"
    return f"{question}: user {denied['user']} is not allowed to; grant it the verb `{denied['verb']}` on {what} {where}"


def _missing(server: str, question: Question, answer: Answer) -> str:
    details = _details(answer)
    if details.get("kind") == "namespaces":
        return f"{question}: namespace {question.namespace} does not exist on {server}; create it, or name another one"
    if details.get("name"):
        return f"{question}: {status_field(answer, 'message')}"
    needs = f"install {question.resource.needs}" if question.resource.needs else "a newer cluster has it"
    return f"{question}: {server} knows no {question.resource.kind} of {question.resource.api}; {needs}"
