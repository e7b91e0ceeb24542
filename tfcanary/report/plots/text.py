"""Makes foreign text safe to show: no invisible characters, no change of the reading direction, no unlimited length.

Model names, reasons, labels and digests come from outside the project; every text of a page or picture passes through this module.
"""

from __future__ import annotations

import re
import unicodedata

_SPACE = re.compile(r"[\t\n\v\f\r\u0085\u2028\u2029]+")
# Control characters, characters that hide text or turn its direction, lone surrogates, and characters that XML does not allow.
_INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SECRET = re.compile(r"(://)[^/\s@]{1,2000}@")


def visible(text: str) -> str:
    r"""Return the text on one line, with invisible characters written as `\u202e` and without the credentials of addresses."""
    spaced = _SPACE.sub(" ", text)
    return _SECRET.sub(r"\1…@", _INVISIBLE.sub(lambda match: f"\\u{ord(match.group()):04x}", spaced))


def isolate(text: str) -> str:
    """Enclose text that has letters from right to left in isolation marks, so that its neighbours keep their direction."""
    right_to_left = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)
    return f"\u2068{text}\u2069" if right_to_left else text


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of the visible text; a text that is cut ends with the length of the whole text."""
    whole = visible(text)
    return whole if len(whole) <= limit else f"{whole[:limit].rstrip()} … ({len(text):,} characters)"
