"""Foreign text made fit to be shown: nothing invisible, nothing that turns the reading direction, nothing endless.

Model names, reasons, labels and digests come from outside; every text of a page or picture passes through here.
"""

from __future__ import annotations

import re
import unicodedata

_SPACE = re.compile(r"[\t\n\v\f\r\u0085\u2028\u2029]+")
# Controls, marks that turn or hide text, lone surrogates and what XML does not allow.
_INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SECRET = re.compile(r"(://)[^/\s@]{1,2000}@")


def visible(text: str) -> str:
    r"""The text on one line, with invisible characters spelled out as `\u202e` and credentials in addresses left out."""
    spaced = _SPACE.sub(" ", text)
    return _SECRET.sub(r"\1…@", _INVISIBLE.sub(lambda found: f"\\u{ord(found.group()):04x}", spaced))


def isolated(text: str) -> str:
    """Text with letters that run from right to left, fenced in so that it does not turn its neighbours; other text as it is."""
    turned = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)
    return f"\u2068{text}\u2069" if turned else text


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of the visible text; where some are missing, it says how long the whole was."""
    shown = visible(text)
    return shown if len(shown) <= limit else f"{shown[:limit].rstrip()} … ({len(text):,} characters)"
