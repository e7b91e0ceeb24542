"""Calls to one API server: objects are plain JSON, a failure that may pass is tried again, and every refusal is one sentence."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tfcanary.adapters.kubeclient.api_errors import JSON_PATCH, Question, complaint, is_missing, may_pass, owners, short, status_field
from tfcanary.adapters.kubeclient.connect import Answer, Connection, Request, Silent
from tfcanary.adapters.kubeclient.object_names import MANAGER
from tfcanary.adapters.kubeclient.resources import PAGES, Json, Resource
from tfcanary.core.errors import Unavailable

log = logging.getLogger("tfcanary.adapters.kubeclient")

PATIENCE = 90.0
"""Seconds for which a call is tried again: an API server that is away for a minute, as in an upgrade, must not end a release."""
FIRST_PAUSE = 0.2
"""Seconds before the second try; doubled before each further one, up to LONGEST_PAUSE, with jitter."""
LONGEST_PAUSE = 10.0
PAGE = 500
"""Objects in one answer to `list`."""

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
OWN_REVIEW = Resource("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", everywhere=True)
ACCOUNT_REVIEW = Resource("authorization.k8s.io/v1", "localsubjectaccessreviews", "LocalSubjectAccessReview")
WHO = Resource("authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview", everywhere=True)
OURS = {"fieldManager": MANAGER}
"""Without it the server takes the name of our HTTP library for our field manager."""


class NoAnswer(Unavailable):
    """A pod does not answer, though the API server does."""


class Api:
    """The objects of one namespace. Nothing is asked before the first call. Several threads may use it.

    Every method raises Refused where the server forbids it or knows no such kind or namespace, and Unavailable where the
    server cannot be reached for `patience` seconds.
    """

    def __init__(self, namespace: str, context: str | None = None, patience: float = PATIENCE) -> None:
        self.namespace = namespace
        self._patience = patience
        self._connection = Connection(context)

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._connection.server

    def elsewhere(self, namespace: str) -> Api:
        """The objects of another namespace, by the same connection."""
        other = Api(namespace, patience=self._patience)
        other._connection = self._connection
        return other

    def get(self, resource: Resource, name: str) -> Json | None:
        """The object of a kind and a name; None where it does not exist."""
        question = self._question("read", resource, name)
        answer = self._ask(question)
        return None if is_missing(answer, name) else self._object(question, answer)

    def list(self, resource: Resource, labels: Mapping[str, str] | None = None) -> tuple[Json, ...]:
        """All objects of a kind that have these labels."""
        found: list[Json] = []
        query = {"limit": str(PAGE), "labelSelector": ",".join(f"{name}={value}" for name, value in (labels or {}).items())}
        while True:
            question = self._question("list", resource, "", query=query)
            page = self._object(question, self._ask(question))
            found += page["items"] or ()
            if not page["metadata"].get("continue"):
                return tuple(found)
            query["continue"] = page["metadata"]["continue"]

    def apply(self, resource: Resource, body: Json, force: bool = False, dry_run: bool = False) -> Json:
        """Server-side apply: set the fields of `body` and own them; fields that we owned and that `body` lacks are removed. May be repeated.

        Raises ForeignFields where somebody else owns such a field with another value, naming each; `force` takes them. Where `body` names
        a resourceVersion, raises Conflict where that is not the present one; with a uid, too, also where the object is gone.
        """
        query = {**OURS, "force": str(force).lower(), **({"dryRun": "All"} if dry_run else {})}
        question = self._question("apply", resource, body["metadata"]["name"], "PATCH", body, APPLY_PATCH, query)
        answer = self._ask(question)
        if {owner for _, owner in owners(answer)} == {MANAGER}:
            # To the server our creations and patches are another owner than our applies.
            return self.apply(resource, body, force=True, dry_run=dry_run)
        return self._object(question, answer)

    def patch(self, resource: Resource, name: str, operations: Sequence[Json]) -> Json:
        """Change an object by a JSON patch. Raises Conflict where a `test` fails, Refused where the object is missing or the patch does not fit.

        A call whose answer is lost is made again: where the first call succeeded and changed what it tests, the caller sees Conflict, reads
        the object, and finds what it wanted. Without a `test` the second call does the same again.
        """
        question = self._question("patch", resource, name, "PATCH", [*operations], JSON_PATCH, OURS)
        return self._object(question, self._ask(question))

    def merge(self, resource: Resource, name: str, body: Json) -> Json:
        """Change an object by a JSON merge patch: null removes a field, a list replaces the whole list. Raises Refused where it is missing.

        With `metadata.resourceVersion` it is a compare and swap: raises Conflict where the object is gone, or somebody wrote first, or,
        where the answer of a first try was lost, we ourselves did.
        """
        question = self._question("patch", resource, name, "PATCH", body, MERGE_PATCH, OURS)
        return self._object(question, self._ask(question))

    def create(self, resource: Resource, body: Json) -> Json:
        """Create an object. Raises Conflict where it exists, also where we ourselves made it and only the answer was lost."""
        name = body["metadata"].get("name", "")
        question = self._question("create", resource, name, "POST", body, query=OURS)
        return self._object(question, self._ask(question))

    def delete(self, resource: Resource, name: str, found: Json | None = None) -> None:
        """Delete an object; what belongs to it follows in the background. Nothing to do where it is gone.

        With `found`, the object as it was read, raises Conflict where it is another object or another version by now.
        """
        # Options in the query are ignored where there is a body.
        options: Json = {"propagationPolicy": "Background"}
        if found is not None:
            options["preconditions"] = {key: found["metadata"][key] for key in ("uid", "resourceVersion")}
        question = self._question("delete", resource, name, "DELETE", options)
        answer = self._ask(question)
        if not is_missing(answer, name):
            self._object(question, answer)

    def page(self, pod: str, port: int, path: str) -> str:
        """GET a page of a pod through the API server; raises NoAnswer where the pod does not answer with 200, without trying again."""
        at = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods/{quote(pod, safe='')}:{port}/proxy/{path.lstrip('/')}"
        question = Question("read", PAGES, self.namespace, pod, Request("GET", at))
        try:
            answer = self._ask(question)
        except Silent as error:
            raise NoAnswer(f"pod {pod} in namespace {self.namespace}: {path} on port {port}: {error}") from error
        if answer.status == 200:
            return answer.text
        if answer.status in (401, 403) and status_field(answer, "status") == "Failure":
            raise complaint(self.server, question, answer)
        raise NoAnswer(f"pod {pod} in namespace {self.namespace}: {path} on port {port}: {short(answer)}")

    def is_allowed(self, verb: str, resource: Resource, account: str = "") -> bool:
        """Whether the caller, or a service account `namespace/name`, may do this in the namespace, by the server's own word."""
        plural, _, sub = resource.plural.partition("/")
        asked = {"namespace": self.namespace, "verb": verb, "group": resource.group, "resource": plural, "subresource": sub}
        review = ACCOUNT_REVIEW if account else OWN_REVIEW
        body = {"spec": {"resourceAttributes": asked, **(_as_user(account) if account else {})}}
        question = Question("create", review, self.namespace, "", Request("POST", review.path(self.namespace), body=body))
        return bool(self._object(question, self._ask(question))["status"]["allowed"])

    def version(self) -> str:
        """The version of the server, for example `v1.34.4`."""
        question = Question("read", Resource("", "version", "version", everywhere=True), "", "", Request("GET", "/version"))
        return str(self._object(question, self._ask(question)).get("gitVersion", ""))

    def whoami(self) -> str | None:
        """The name by which the server knows us; None where the server is too old to say (below 1.28)."""
        question = Question("create", WHO, "", "", Request("POST", WHO.path(""), body={"apiVersion": WHO.api, "kind": WHO.kind}))
        answer = self._ask(question)
        return None if answer.status == 404 else str(self._object(question, answer)["status"]["userInfo"].get("username", ""))

    def served_versions(self, group: str) -> dict[str, set[str]]:
        """The versions of a group that the server has, each with the plural names of its kinds; none where it does not know the group."""
        found = self._discovery(f"/apis/{group}", group, "versions")
        versions = [str(one["version"]) for one in found]
        return {one: {str(kind["name"]) for kind in self._discovery(f"/apis/{group}/{one}", group, "resources")} for one in versions}

    def _discovery(self, path: str, group: str, field: str) -> tuple[Json, ...]:
        question = Question("read", Resource("", group, group, everywhere=True), "", "", Request("GET", path))
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
        return Question(verb, resource, self.namespace, name, Request(method, at, dict(query or {}), body, content))

    def _object(self, question: Question, answer: Answer) -> Json:
        body = answer.body()
        if 200 <= answer.status < 300 and body:
            return body
        raise complaint(self.server, question, answer)

    def _ask(self, question: Question) -> Answer:
        """The answer, whatever it is; a failure that may pass is tried again until the patience is over."""
        deadline = time.monotonic() + self._patience
        for number, pause in enumerate(_pauses()):
            answer, why = self._once(question)
            if answer and not may_pass(question, answer):
                return answer
            left, wanted = deadline - time.monotonic(), answer.retry_after if answer else 0.0
            if left <= 0 or wanted > left:
                break
            if number == 0:
                log.warning("%s: %s: %s; trying again for up to %.0f s", self.server, question, why, self._patience)
            time.sleep(min(left, max(pause, wanted)))
        raise Unavailable(f"{question}: the API server at {self.server} did not do it in {self._patience:.0f} s; the last try: {why}")

    def _once(self, question: Question) -> tuple[Answer | None, str]:
        """An answer, or why there is none. Raises Silent where a pod's page is late, which is the pod's fault."""
        try:
            answer = self._connection.send(question.request)
        except Silent as error:
            if error.late and question.of_a_pod:
                raise
            return None, str(error)
        return answer, short(answer)


def _as_user(account: str) -> Json:
    """The user and the groups by which the server knows a service account `namespace/name`."""
    namespace, _, name = account.partition("/")
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    return {"user": f"system:serviceaccount:{namespace}:{name}", "groups": groups}


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.5)
        pause = min(2 * pause, LONGEST_PAUSE)
