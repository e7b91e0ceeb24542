"""ACT: which verdict let the stable version in, as an in-toto statement in a signed DSSE envelope, kept beside the version in the bucket.

The statement holds every poll that the judge was given, so that whoever has it can judge again without asking anybody. It is written once,
after a promotion, by the process that promoted and has a key; a promotion never fails for want of a signature.
"""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary import __version__
from tfcanary.act import checkpoint, ledger, poll_log, tape
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion, Verdict
from tfcanary.core.errors import Conflict, Refused, TfcanaryError, Unavailable
from tfcanary.core.plan import OnUndecided, Plan
from tfcanary.core.ports import Platform, Signer
from tfcanary.core.record import Release, State
from tfcanary.decide.judge import Judge

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://tfcanary.dev/verdict/v1"
SIGNED = "the verdict is signed: "
"""How the event begins that names the envelope."""

log = logging.getLogger("tfcanary.promote")


@dataclass(frozen=True, slots=True)
class VerdictStatement:
    """The predicate of the statement: why a version became stable."""

    model: str
    version: ModelVersion
    run_id: str
    plan: Plan
    plan_digest: str
    verdict: Verdict
    """The last stage's, with drift; each evidence has its counts, its interval, and the alpha that it has spent."""
    watched: Verdict | None
    """The watch's part of it, which the polls give again; None where no stage was watched."""
    gates: Mapping[str, str]
    """What each gate answered, by step."""
    approvals: tuple[str, ...]
    """What was written down of each approval: the stage, and who approved as he said."""
    tfcanary: str
    """The version of tfcanary that promoted."""
    polls: str
    """Every poll of the judge, packed as on a tape; empty where none was kept."""


def envelope_name(model: str, number: int) -> str:
    """The name of a version's envelope in the bucket."""
    return f"{model}/verdicts/{number}.json"


def sign_verdict(platform: Platform, release: Release) -> Release:
    """Sign the verdict of a promoted release, once, and name the envelope in the record; without a key nothing happens.

    What goes wrong is written into the record and into the log: a version that serves already is not taken back for it.
    """
    if platform.signer is None or release.state is not State.PROMOTED or release.candidate is None:
        return release
    name = envelope_name(platform.model, release.candidate.number)
    try:
        envelope = seal(platform.signer, statement_of(platform, release, release.candidate))
        platform.storage.write(name, envelope, if_generation=0)
        what = f"{SIGNED}{name}, key {platform.signer.key_id()[:16]}"
    except Conflict:
        return release
    except (Refused, Unavailable, ModuleNotFoundError) as error:
        log.warning("%s: the verdict is not signed: %s", platform.model, error)
        what = f"the verdict is not signed: {error}"
    try:
        now = platform.clock.now()
        return ledger.change(platform, release.run_id, lambda r: r if any(one.what == what for one in r.events) else r.happened(now, what))
    except TfcanaryError as error:
        log.warning("%s: %s: %s", platform.model, what, error)
        return release


def statement_of(platform: Platform, release: Release, candidate: ModelVersion) -> VerdictStatement:
    """The statement about a promoted release. Raises Refused where its polls cannot be read, or it has no verdict."""
    last = len(release.plan.weights) - 1
    verdict = ledger.of_stage(release.verdicts, last)
    if verdict is None:
        raise Refused(f"release {release.run_id!r}: has no verdict of its last stage")
    kept = checkpoint.last_of(platform, release.run_id)
    return VerdictStatement(
        model=platform.model,
        version=candidate,
        run_id=release.run_id,
        plan=release.plan,
        plan_digest=release.plan_digest,
        verdict=verdict,
        watched=ledger.of_stage(release.watched, last),
        gates={step: look.answer for step, look in release.looks.items()},
        approvals=tuple(one.what for one in release.events if one.what.startswith("stage ") and " approved: " in one.what),
        tfcanary=__version__,
        polls=tape.pack(poll_log.read_lines(platform, release.run_id, kept.polls)) if kept else "",
    )


def seal(signer: Signer, statement: VerdictStatement) -> bytes:
    """The DSSE envelope around the in-toto statement, with one signature. Raises Refused where the key cannot be used."""
    version = statement.version
    subject = {"name": f"{statement.model}/{version.number}", "digest": {"sha256": version.digest.removeprefix("sha256:")}}
    body = {"_type": STATEMENT, "subject": [subject], "predicateType": PREDICATE, "predicate": statement}
    payload = codec.dumps(body).encode()
    signature = {"keyid": signer.key_id(), "sig": base64.b64encode(signer.sign(to_be_signed(payload))).decode()}
    return json.dumps({"payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(payload).decode(), "signatures": [signature]}).encode()


def to_be_signed(payload: bytes) -> bytes:
    """What DSSE signs: the type and the payload, each with its length before it."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def read_envelope(platform: Platform, number: int) -> bytes:
    """The envelope of a version; raises Refused where none was written."""
    into = io.BytesIO()
    platform.storage.read(envelope_name(platform.model, number), into)
    return into.getvalue()


def unseal(envelope: bytes, accepts: Callable[[bytes, bytes], bool], at: str) -> VerdictStatement:
    """The statement in an envelope. `accepts` says of message and signature whether the trusted key made it.

    Raises Refused where no signature is accepted, or what was signed is no statement of ours; nothing unsigned is read.
    """
    try:
        outer = json.loads(envelope)
        payload = base64.b64decode(outer["payload"], validate=True)
        signatures = [base64.b64decode(one["sig"], validate=True) for one in outer["signatures"]]
        kind = outer["payloadType"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused(f"{at}: is no DSSE envelope") from None
    if kind != PAYLOAD_TYPE or not any(accepts(to_be_signed(payload), one) for one in signatures):
        raise Refused(f"{at}: no signature of the trusted key is on it")
    return _statement(payload, at)


def _statement(payload: bytes, at: str) -> VerdictStatement:
    body: Any = codec.loads(Any, payload, at=at)
    if not isinstance(body, dict) or (body.get("_type"), body.get("predicateType")) != (STATEMENT, PREDICATE):
        raise Refused(f"{at}: was signed, and is no {PREDICATE}")
    statement: VerdictStatement = codec.decode(VerdictStatement, body.get("predicate"), at=at)
    return statement


def judged_again(statement: VerdictStatement, at: str) -> Verdict | None:
    """What the judge says to the statement's polls, up to the one that ended the watch; None where it has no polls or no watch.

    Raises Refused where the polls cannot be read, or were judged by another plan.
    """
    watched = statement.watched
    if watched is None or watched.at is None or not statement.polls:
        return None
    head, looks = poll_log.parse(tape.unpack(statement.polls, at), at)
    judge = Judge.resume(head.judge, statement.run_id, statement.plan.judge)
    for look in looks:
        if look.at <= watched.at:
            judge.decide(look.poll)
    return judge.verdict()


def agrees(again: Verdict, statement: VerdictStatement) -> bool:
    """Whether a verdict that was recomputed is the one of the statement, bit by bit.

    The decision may be another one only where the plan promotes undecided releases; the evidence may not.
    """
    watched = statement.watched
    if watched is None or (again.evidence, again.absent) != (watched.evidence, watched.absent):
        return False
    return (again.decision, again.reason) == (watched.decision, watched.reason) or statement.plan.stage.on_undecided is OnUndecided.PROMOTE
