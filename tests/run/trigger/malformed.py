"""Deliveries that cannot be read."""

from __future__ import annotations

import json

from tests.run.trigger.conftest import STRUCTURE, finalized
from tfcanary.run.trigger.events import BATCH

MALFORMED: list[tuple[bytes | str, dict[str, str]]] = [
    (b"", {}),
    (b"{", {}),
    (b"\xff\xfe", {}),
    (b"[]", {}),
    (b"null", {}),
    (b"[" * 100_000, {}),
    (b'{"a":' * 30_000, STRUCTURE),
    (b"1" * 5_000, {}),
    (b'{"specversion": NaN}', {}),
    (b"{}", STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", specversion="0.3")), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", specversion=1)), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", time="yesterday")), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", time="0001-01-01T00:00:00+14:00")), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", time=5)), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", source={"a": 1})), STRUCTURE),
    (json.dumps({k: v for k, v in finalized("digits/1/_SUCCESS").items() if k != "id"}), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", data=[])), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", data={"bucket": 5, "name": "x"})), STRUCTURE),
    (json.dumps(finalized("digits/1/_SUCCESS", data=None, data_base64="%%%")), STRUCTURE),
    (json.dumps([finalized("digits/1/_SUCCESS")] * 101), {"content_type": BATCH}),
    (json.dumps([5]), {"content_type": BATCH}),
    (json.dumps({"message": {"data": "%%%", "messageId": "1"}}), {}),
    (json.dumps({"message": {"attributes": 5, "messageId": "1"}}), {}),
    (json.dumps({"message": {"data": ""}}), {}),
    (json.dumps({"message": {"messageId": "1", "publishTime": "now"}}), {}),
    (b"{}", {"ce_id": "1", "ce_source": "s", "ce_specversion": "1.0"}),
    (b"{}", {"ce_id": "1", "ce_source": "s", "ce_type": "t", "ce_specversion": "1.0", "ce_time": "%ff"}),
    (json.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"model_uri": 5}}), STRUCTURE),
    (json.dumps({"specversion": "1.0", "id": "\ud800", "source": "s", "type": "t", "A B": 1}), STRUCTURE),
]
