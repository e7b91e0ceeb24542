"""Turns the exceptions of Cloud Storage and its client into our own errors; no other module knows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tfcanary.core.errors import Conflict, Refused, Unavailable


@contextmanager
def explain_google_errors(uri: str, host: str, permission: str) -> Iterator[None]:
    """Turn Google's exceptions in this block into ours. `uri`, `host` and `permission` say in the sentence what was asked, whom, and what right it needs."""
    import requests
    import urllib3
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.cloud.storage import exceptions as storage

    try:
        yield
    except api.PreconditionFailed as error:
        raise Conflict(f"{uri}: somebody else wrote first") from error
    except api.NotFound as error:
        raise Refused(f"{uri}: not found at {host} ({_short(error)})") from error
    except api.Forbidden as error:
        raise Refused(f"{uri}: not allowed; the account needs {permission} on the bucket ({_short(error)})") from error
    except (api.Unauthorized, auth.DefaultCredentialsError, auth.RefreshError) as error:
        raise Refused(f"{uri}: no valid Google credentials ({_short(error)}); see `gcloud auth application-default login`") from error
    except (api.ServerError, api.TooManyRequests, api.RetryError, storage.InvalidResponse, storage.DataCorruption) as error:
        raise Unavailable(f"{uri}: {host} could not answer ({_short(error)})") from error
    except (requests.RequestException, ConnectionError, urllib3.exceptions.HTTPError, auth.TransportError) as error:
        raise Unavailable(f"{uri}: cannot reach {host} ({_short(error)})") from error
    except ValueError as error:
        # The client raises it where the source has changed, or where the server stored less than it was sent.
        raise Unavailable(f"{uri}: the transfer failed ({_short(error)})") from error
    except api.GoogleAPICallError as error:
        raise Refused(f"{uri}: {host} refuses ({_short(error)})") from error


def _short(error: Exception) -> str:
    cause = getattr(error, "cause", None) or error
    # An address may hold the key of an upload, which others could continue.
    text = re.sub(r"\?\S*", "", " ".join(str(cause).split()))
    return text if len(text) <= 200 else text[:197] + "..."
