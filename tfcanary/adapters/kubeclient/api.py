"""Calls to one API server: objects are plain JSON, transient failures are tried again, and every refusal is one sentence."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tfcanary.adapters.kubeclient.api_errors import (
    JSON_PATCH,
    Question,
    error_for,
    field_owners,
    is_missing,
    is_transient,
    status_field,
    summary,
)
from tfcanary.adapters.kubeclient.connect import ApiAnswer, ApiRequest, Connection, ConnectionFailure
from tfcanary.adapters.kubeclient.object_names import MANAGER
from tfcanary.adapters.kubeclient.resources import PAGES, Json, Resource
from tfcanary.core.errors import Unavailable
from tfcanary.core.retry import Pauses, attempts

log = logging.getLogger("tfcanary.adapters.kubeclient")

PATIENCE = 90.0
"""Seconds for which a call is tried again: an API server that is away for a minute, as in an upgrade, must not end a release."""
PAUSES = Pauses(first=0.2, longest=10.0, at_deadline=True)
"""Between two attempts of one call."""
PAGE_SIZE = 500
"""Objects in one answer to `list`, at most."""

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
OWN_REVIEW = Resource("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", cluster_wide=True)
ACCOUNT_REVIEW = Resource("authorization.k8s.io/v1", "localsubjectaccessreviews", "LocalSubjectAccessReview")
WHO = Resource("authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview", cluster_wide=True)
AS_MANAGER = {"fieldManager": MANAGER}
"""The query that names us as the writer: without it the server takes the HTTP library's name."""


class NoAnswer(Unavailable):
    """A pod does not answer, while the API server does."""


class Api:
    """The objects of one namespace. The first call connects; threads may share an instance.

    Every method raises Refused where the server forbids it or knows no such kind or namespace, and Unavailable where the
    server cannot be reached for `patience` seconds.
    """

    def __init__(self, namespace: str, patience: float = PATIENCE) -> None:
        self.namespace = namespace
        self._patience = patience
        self._connection = Connection()

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._connection.server

    def elsewhere(self, namespace: str) -> Api:
        """The objects of another namespace, over the same connection."""
        other = Api(namespace, patience=self._patience)
        other._connection = self._connection
        return other

    def get(self, resource: Resource, name: str) -> Json | None:
        """Read one object; None where it does not exist."""
        question = self._question("read", resource, name)
        answer = self._ask(question)
        return None if is_missing(answer, name) else self._object(question, answer)

    def list(self, resource: Resource, labels: Mapping[str, str] | None = None) -> tuple[Json, ...]:
        """All objects of a kind in the namespace that have these labels."""
        objects: list[Json] = []
        query = {"limit": str(PAGE_SIZE), "labelSelector": ",".join(f"{name}={value}" for name, value in (labels or {}).items())}
        while True:
            question = self._question("list", resource, "", query=query)
            page = self._object(question, self._ask(question))
            objects += page["items"] or ()
            if not page["metadata"].get("continue"):
                return tuple(objects)
            query["continue"] = page["metadata"]["continue"]

    def apply(self, resource: Resource, body: Json, force: bool = False, dry_run: bool = False) -> Json:
        """Apply `body` on the server: its fields get these values and are owned by us; our earlier fields that it lacks are removed.

        Raises Conflict where somebody else owns such a field with another value, naming each; `force` takes them over. The call may be
        repeated. Where `body` names a resourceVersion that is not the present one, Conflict too.
        """
        query = {**AS_MANAGER, "force": str(force).lower(), **({"dryRun": "All"} if dry_run else {})}
        question = self._question("apply", resource, body["metadata"]["name"], "PATCH", body, APPLY_PATCH, query)
        answer = self._ask(question)
        if set(field_owners(answer).values()) == {MANAGER}:
            # For the server our patches are another owner than we are in apply.
            return self.apply(resource, body, force=True, dry_run=dry_run)
        return self._object(question, answer)

    def patch(self, resource: Resource, name: str, operations: Sequence[Json]) -> Json:
        """Apply a JSON patch. Raises Conflict where a `test` fails, Refused where the object is missing or the patch does not fit it.

        A call whose answer is lost is tried again. Where the first try had succeeded, and changed the value that it tests, the second
        raises Conflict, and the caller that reads the object finds its own change. Without a `test` the second try repeats the change.
        """
        question = self._question("patch", resource, name, "PATCH", [*operations], JSON_PATCH, AS_MANAGER)
        return self._object(question, self._ask(question))

    def merge(self, resource: Resource, name: str, body: Json) -> Json:
        """Apply a JSON merge patch: null removes a field, a list replaces the whole list. Raises Refused where the object is missing.

        With `metadata.resourceVersion` it is a compare and swap: Conflict where somebody else wrote first, or where our own first try
        did and its answer was lost.
        """
        question = self._question("patch", resource, name, "PATCH", body, MERGE_PATCH, AS_MANAGER)
        return self._object(question, self._ask(question))

    def create(self, resource: Resource, body: Json) -> Json:
        """Create an object. Raises Conflict where it exists, also where our own first try made it and only the answer was lost."""
        name = body["metadata"].get("name", "")
        question = self._question("create", resource, name, "POST", body, query=AS_MANAGER)
        return self._object(question, self._ask(question))

    def delete(self, resource: Resource, name: str) -> None:
        """Delete an object, and in the background what belongs to it. An object that does not exist is no error."""
        # The server ignores options in the query where the request has a body.
        question = self._question("delete", resource, name, "DELETE", {"propagationPolicy": "Background"})
        answer = self._ask(question)
        if not is_missing(answer, name):
            self._object(question, answer)

    def page(self, pod: str, port: int, path: str) -> str:
        """Read a page of a pod through the API server. Raises NoAnswer where the pod does not answer with 200; that is not tried again."""
        at = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods/{quote(pod, safe='')}:{port}/proxy/{path.lstrip('/')}"
        question = Question("read", PAGES, self.namespace, pod, ApiRequest("GET", at))
        try:
            answer = self._ask(question)
        except ConnectionFailure as error:
            raise NoAnswer(f"pod {pod} in namespace {self.namespace}: {path} on port {port}: {error}") from error
        if answer.status == 200:
            return answer.text
        if answer.status in (401, 403) and status_field(answer, "status") == "Failure":
            raise error_for(self.server, question, answer)
        raise NoAnswer(f"pod {pod} in namespace {self.namespace}: {path} on port {port}: {summary(answer)}")

    def is_allowed(self, verb: str, resource: Resource, account: str = "") -> bool:
        """Ask the server whether we, or the service account `namespace/name`, may do this in the namespace."""
        plural, _, sub = resource.plural.partition("/")
        attributes = {"namespace": self.namespace, "verb": verb, "group": resource.group, "resource": plural, "subresource": sub}
        review = ACCOUNT_REVIEW if account else OWN_REVIEW
        body = {"spec": {"resourceAttributes": attributes, **(_as_user(account) if account else {})}}
        question = Question("create", review, self.namespace, "", ApiRequest("POST", review.path(self.namespace), body=body))
        return bool(self._object(question, self._ask(question))["status"]["allowed"])

    def version(self) -> str:
        """The server's version, for example `v1.34.4`."""
        question = Question("read", Resource("", "version", "version", cluster_wide=True), "", "", ApiRequest("GET", "/version"))
        return str(self._object(question, self._ask(question)).get("gitVersion", ""))

    def whoami(self) -> str | None:
        """The user name that the server knows us by; None where the server is too old to tell (below 1.28)."""
        question = Question("create", WHO, "", "", ApiRequest("POST", WHO.path(""), body={"apiVersion": WHO.api, "kind": WHO.kind}))
        answer = self._ask(question)
        return None if answer.status == 404 else str(self._object(question, answer)["status"]["userInfo"].get("username", ""))

    def group_versions(self, group: str) -> dict[str, set[str]]:
        """The versions of an API group, each with the plural names of its kinds; empty where the server does not know the group."""
        versions = [str(one["version"]) for one in self._discovery(f"/apis/{group}", group, "versions")]
        return {one: {str(kind["name"]) for kind in self._discovery(f"/apis/{group}/{one}", group, "resources")} for one in versions}

    def _discovery(self, path: str, group: str, field: str) -> tuple[Json, ...]:
        question = Question("read", Resource("", group, group, cluster_wide=True), "", "", ApiRequest("GET", path))
        answer = self._ask(question)
        return () if answer.status == 404 else tuple(self._object(question, answer).get(field) or ())

    def _question(
        self,
        verb: str,
        resource: Resource,
        name: str,
        method: str = "GET",
        body: Any = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Question:
        at = resource.path(self.namespace, "" if method == "POST" else name)
        return Question(verb, resource, self.namespace, name, ApiRequest(method, at, dict(query or {}), body, content))

    def _object(self, question: Question, answer: ApiAnswer) -> Json:
        body = answer.body()
        if 200 <= answer.status < 300 and body:
            return body
        raise error_for(self.server, question, answer)

    def _ask(self, question: Question) -> ApiAnswer:
        """The answer to a request, whatever its status; transient failures are tried again for `patience` seconds."""
        reason = ""
        for attempt in attempts(PAUSES, self._patience):
            answer, reason = self._once(question)
            if answer and not is_transient(question, answer):
                return answer
            attempt.retry_after = answer.retry_after if answer else 0.0
            if attempt.number == 1 and not attempt.is_last:
                log.warning("%s: %s: %s; trying again for up to %.0f s", self.server, question, reason, self._patience)
        raise Unavailable(f"{question}: the API server at {self.server} did not do it in {self._patience:.0f} s; the last try: {reason}")

    def _once(self, question: Question) -> tuple[ApiAnswer | None, str]:
        """The answer, or None, and a short reason. Raises ConnectionFailure where a pod's page is late: the pod is at fault, not the server."""
        try:
            answer = self._connection.send(question.request)
        except ConnectionFailure as error:
            if error.late and question.is_pod_page:
                raise
            return None, str(error)
        return answer, summary(answer)


def _as_user(account: str) -> Json:
    """The user and groups that the server knows a service account `namespace/name` by."""
    namespace, _, name = account.partition("/")
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    return {"user": f"system:serviceaccount:{namespace}:{name}", "groups": groups}
