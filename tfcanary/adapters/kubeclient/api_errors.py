"""The meaning of an API server's answer: whether to try again, and else the error whose sentence says what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tfcanary.adapters.kubeclient.connect import ApiAnswer, ApiRequest
from tfcanary.adapters.kubeclient.resources import PAGES, Resource
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable

TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Statuses of an API server that is busy, starting, or behind a proxy that does not reach it."""
JSON_PATCH = "application/json-patch+json"
FORBIDDEN = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"')
"""The text of a refusal by role-based access control; other refusals with 403 (quotas, admission) have other texts."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and the object that it is about."""

    verb: str
    """The verb in sentences for people; `apply` needs the right to `patch`."""
    resource: Resource
    namespace: str
    name: str
    request: ApiRequest

    def __str__(self) -> str:
        what = f"{self.verb} {f'{self.resource.kind} {self.name}'.strip()}"
        return what if self.resource.cluster_wide else f"{what} in namespace {self.namespace}"

    @property
    def is_pod_page(self) -> bool:
        """Whether a pod answers, through the server's proxy."""
        return self.resource is PAGES

    @property
    def names_version(self) -> bool:
        """Whether the write names the version of the object that it replaces."""
        body = self.request.body
        if self.request.content == JSON_PATCH:
            return any(one["path"] == "/metadata/resourceVersion" for one in body)
        return isinstance(body, dict) and "resourceVersion" in body.get("metadata", {})


def is_transient(question: Question, answer: ApiAnswer) -> bool:
    """Whether the same request may succeed a little later."""
    if question.is_pod_page:
        return answer.status == 429  # any other status is the pod's own, or says that there is no pod
    if answer.status == 409:
        # Two writes met in the store. A conflict about fields, or about the version that the write names, does not pass.
        return status_field(answer, "reason") == "Conflict" and not field_owners(answer) and not question.names_version
    return answer.status in TRANSIENT and not _is_schema_mismatch(answer)


def summary(answer: ApiAnswer) -> str:
    """The status and the server's message, in one line of at most 500 characters."""
    words = str(status_field(answer, "message") or answer.text)
    return f"{answer.status} {' '.join(words.split())[:500]}".strip()


def status_field(answer: ApiAnswer, name: str) -> object:
    """A field of the `Status` object in the answer; None where the answer is another object."""
    body = answer.body()
    return body.get(name) if body.get("kind") == "Status" else None


def is_missing(answer: ApiAnswer, name: str) -> bool:
    """Whether the server says that the object does not exist; false where it knows no such kind or namespace."""
    return answer.status == 404 and _details(answer).get("name") == name and _details(answer).get("kind") != "namespaces"


def field_owners(answer: ApiAnswer) -> dict[str, str]:
    """The fields in dispute of a server-side apply's conflict, each with the manager that owns it; empty for other answers."""
    causes = _details(answer).get("causes") or [] if answer.status == 409 else []
    managers = [(one.get("field", ""), re.search(r'conflict with "([^"]*)"', one.get("message", ""))) for one in causes]
    return {str(field): owner[1] for field, owner in managers if owner}


def error_for(server: str, question: Question, answer: ApiAnswer) -> TfcanaryError:
    """The error for an answer that does not hold the object: its class says what to do next, its sentence what was refused."""
    if answer.status == 409:
        return Conflict(_conflict_sentence(question, answer))
    if answer.status == 422 and question.request.content == JSON_PATCH and not _details(answer):
        return _failed_test(question)
    if answer.status == 401:
        return Refused(f"{question}: {server} does not accept the credentials (401); log in again, or look at the token in the kubeconfig")
    if answer.status == 403:
        return Refused(_forbidden_sentence(question, answer))
    if answer.status == 404:
        return Refused(_missing_sentence(server, question, answer))
    if answer.status == 410:
        return Unavailable(f"{question}: the list has expired; list again")
    if 400 <= answer.status < 500 or _is_schema_mismatch(answer):
        return Refused(f"{question}: {server} refuses it: {summary(answer)}")
    return Unavailable(f"{question}: the server at {server} is not a Kubernetes API server (status {answer.status})")


def _details(answer: ApiAnswer) -> dict[str, Any]:
    details = status_field(answer, "details")
    return details if isinstance(details, dict) else {}


def _is_schema_mismatch(answer: ApiAnswer) -> bool:
    """Whether the body does not fit the schema: server-side apply answers that with 500, as if the server had failed."""
    return answer.status == 500 and "failed to create typed patch object" in answer.text


def _conflict_sentence(question: Question, answer: ApiAnswer) -> str:
    owners = field_owners(answer)
    if owners:
        fields = ", ".join(f"{field} (owned by {owner})" for field, owner in owners.items())
        return f"{question}: others hold {fields}; let them give it up, or agree with them on the value"
    if status_field(answer, "reason") == "AlreadyExists":
        return f"{question}: it exists already"
    return f"{question}: it was changed meanwhile"


def _failed_test(question: Question) -> TfcanaryError:
    """The error of a JSON patch; the server has one message for a `test` that fails and for a path that does not exist."""
    if any(one["op"] == "test" for one in question.request.body):
        return Conflict(f"{question}: it is no longer as it was read")
    paths = ", ".join(str(one["path"]) for one in question.request.body)
    return Refused(f"{question}: the patch does not fit the object; it changes {paths}")


def _forbidden_sentence(question: Question, answer: ApiAnswer) -> str:
    refusal = FORBIDDEN.search(answer.text.replace('\\"', '"'))
    if not refusal:
        return f"{question}: forbidden: {status_field(answer, 'message') or answer.text[:500]}"
    what = f"`{refusal['resource']}` in API group `{refusal['group']}`"
    where = f"in namespace {question.namespace}"
    return f"{question}: user {refusal['user']} is not allowed to; grant it the verb `{refusal['verb']}` on {what} {where}"


def _missing_sentence(server: str, question: Question, answer: ApiAnswer) -> str:
    details = _details(answer)
    if details.get("kind") == "namespaces":
        return f"{question}: namespace {question.namespace} does not exist on {server}; create it, or name another one"
    if details.get("name"):
        return f"{question}: {status_field(answer, 'message')}"
    needs = f"install {question.resource.needs}" if question.resource.needs else "a newer cluster has it"
    return f"{question}: {server} knows no {question.resource.kind} of {question.resource.api}; {needs}"
