"""What can go wrong, as one tree; the class says what to do next.

TfcanaryError
├── Refused          the input, or the state of the world, forbids it; nothing was changed; do not retry
├── Unavailable      could not ask or could not reach; may be tried again
│   ├── Held         another release holds the model
│   ├── GaveUp       it did not happen before its deadline
│   └── Diverted     users' requests go elsewhere than to the tracks
└── Conflict         somebody else wrote first: read again, decide again

A gate that says "no" is not an error: it is a finding of `fail` or a decision of `rollback`.
"""

from __future__ import annotations


class TfcanaryError(Exception):
    """The base: catch this to catch everything that tfcanary raises on purpose."""


class Refused(TfcanaryError):
    """The input is wrong or the state forbids the act; nothing was changed, and trying again will not help."""


class Unavailable(TfcanaryError):
    """Something could not be asked or reached; the same call may succeed later."""


class Held(Unavailable):
    """Another release holds the model; the sentence names it."""


class GaveUp(Unavailable):
    """What was waited for did not happen before its deadline."""


class Diverted(Unavailable):
    """The route was read, and it leads elsewhere than to the tracks: somebody else has changed it, and the canary's share is unknown."""


class Conflict(TfcanaryError):
    """Compare and swap lost: somebody else wrote first. Read again and decide again."""


def told(error: BaseException) -> str:
    """Return what an error says, in one line: its words, and before them its kind where tfcanary did not raise it on purpose."""
    words = " ".join(str(error).encode("utf-8", "replace").decode().split())
    if isinstance(error, TfcanaryError):
        return words
    kind = type(error).__name__
    return f"{kind}: {words}" if words else kind
