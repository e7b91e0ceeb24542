"""Turns the exceptions of S3 and its client into our own errors; no other module knows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.plan.cluster import S3_SECRET

LOST_RACE = frozenset({409, 412})
"""Statuses of a conditional request whose condition does not hold, or that met another one."""
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
WRONG_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed"}
)
TRANSIENT = frozenset(
    {"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "Throttling", "ThrottlingException", "BadDigest", "IncompleteBody"}
)
"""Codes below status 500 that may pass: the server is busy, or the request was damaged on its way."""


class TransientFailure(Exception):
    """A request failed and may succeed a little later; its cause is the client's exception."""


def status_of(error: Any) -> int:
    """The HTTP status of a ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: Any) -> str:
    """The code of a ClientError, for example `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def mark_transient_failures() -> Iterator[None]:
    """Raise TransientFailure in the place of each exception after which the request is worth another try."""
    from botocore import exceptions as client

    try:
        yield
    except client.ClientError as error:
        if (status_of(error) >= 500 and status_of(error) != 501) or status_of(error) == 429 or code_of(error) in TRANSIENT:
            raise TransientFailure from error
        raise
    except (client.HTTPClientError, client.IncompleteReadError, ConnectionError) as error:
        raise TransientFailure from error


@contextmanager
def explain_s3_errors(uri: str, host: str, permission: str) -> Iterator[None]:
    """Turn S3's exceptions in this block into ours. `uri`, `host` and `permission` say in the sentence what was asked, whom, and what right it needs."""
    from botocore import exceptions as client

    try:
        yield
    except TransientFailure as failure:
        cause = failure.__cause__
        if isinstance(cause, client.ClientError):
            raise Unavailable(f"{uri}: {host} could not answer ({_short(cause)})") from cause
        raise Unavailable(f"{uri}: cannot reach {host} ({type(cause).__name__})") from cause
    except client.ClientError as error:
        raise _error(uri, host, permission, error) from error
    except (
        client.NoCredentialsError,
        client.PartialCredentialsError,
        client.CredentialRetrievalError,
        client.TokenRetrievalError,
    ) as error:
        raise Refused(f"{uri}: no valid S3 credentials ({_short(error)}); {CREDENTIALS}") from error
    except (client.ConfigParseError, client.ProfileNotFound, client.InvalidRegionError, client.NoRegionError, ValueError) as error:
        raise Refused(f"{uri}: the S3 configuration cannot be used ({_short(error)})") from error
    except client.BotoCoreError as error:
        raise Unavailable(f"{uri}: the request to {host} failed ({_short(error)})") from error


CREDENTIALS = (
    f"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a file in AWS_CONFIG_FILE, or make the Secret {S3_SECRET} on a cluster"
)


def _error(uri: str, host: str, permission: str, error: Any) -> Exception:
    status, code = status_of(error), code_of(error)
    if status in LOST_RACE:
        return Conflict(f"{uri}: somebody else wrote first")
    if status == 401 or code in WRONG_CREDENTIALS:
        return Refused(f"{uri}: {host} does not accept the S3 credentials ({_short(error)}); {CREDENTIALS}")
    if status == 403:
        return Refused(f"{uri}: not allowed; the account needs {permission} on the bucket ({_short(error)})")
    if status == 404:
        return Refused(f"{uri}: not found at {host} ({_short(error)})")
    if status in (301, 307):
        return Refused(f"{uri}: the bucket is in another region than AWS_DEFAULT_REGION names ({_short(error)})")
    if status == 501:
        return Refused(f"{uri}: {host} has no conditional writes, without which releases cannot be kept apart ({_short(error)})")
    return Refused(f"{uri}: {host} refuses ({_short(error)})")


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
