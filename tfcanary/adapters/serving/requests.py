"""Reads recorded requests from files: `compare_predictions` sends them to both tracks, `evaluate_drift` compares them.

The format of a file is known by its content, not by its name: Parquet, a TFRecord of PredictionLog (plain or GZIP, such as a
SavedModel's warm-up file), or else JSON lines. All files are local; those of a bucket are copied first. One request is in memory at
a time, or one batch of Parquet rows.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcanary.core.domain import Request
from tfcanary.core.errors import Refused
from tfcanary.core.ports import RequestSource
from tfcanary.tf.wire import tfrecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_REQUEST = 16 << 20
"""Bytes of one request in JSON, at most."""
LARGEST_CHUNK = 256 << 20
"""Bytes of one column in one row group of a Parquet file, uncompressed, at most."""
WARMUP = Path("assets.extra", "tf_serving_warmup_requests")
"""The place of the warm-up requests in a SavedModel."""

_BODY = ("instances", "inputs", "signature_name")
_COLUMNS = ("request", "label", "id", "signature", "status")


def open_requests(uri: str) -> RequestSource:
    """Open the requests of a file, of all files of a folder in the order of their names, or of a SavedModel's warm-up file.

    Raises Refused where the path does not exist, is not local, or is an empty folder.
    """
    path = _local_path(uri)
    if (path / "saved_model.pb").is_file():
        path = path / WARMUP
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith((".", "_")))
        if not files:
            raise Refused(f"{path}: no files: JSON lines, Parquet or TFRecord with requests are expected")
        return RecordedRequests(tuple(files))
    if not path.is_file():
        raise Refused(f"{path}: no such file; JSON lines, Parquet or TFRecord with requests are expected")
    return RecordedRequests((path,))


@dataclass(frozen=True, slots=True)
class RecordedRequests:
    """`ports.RequestSource` over local files, in their order."""

    files: tuple[Path, ...]

    def requests(self, limit: int) -> Iterator[Request]:
        """Yield at most `limit` requests. Raises Refused where one cannot be read, naming the file and its line, row or record."""
        return islice(chain.from_iterable(map(_requests, self.files)), limit)


def _local_path(uri: str) -> Path:
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        raise Refused(f"{uri}: requests are read from local files; copy them here first")
    return Path(rest if separator else uri)


def _requests(path: Path) -> Iterator[Request]:
    try:
        with path.open("rb") as file:
            start = file.read(12)
        if start[:4] == b"PAR1":
            yield from _from_parquet(path)
        elif tfrecord.is_tfrecord(start):
            yield from _from_records(path)
        else:
            yield from _from_lines(path)
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror or error})") from error


def _from_lines(path: Path) -> Iterator[Request]:
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(LARGEST_REQUEST + 1)
            if not line:
                return
            if line.strip():
                yield _from_json(line, f"{path}: line {number}", f"{path.name}:{number}")


def _from_json(text: str | bytes, at: str, name: str) -> Request:
    """The request in one line: a REST predict body, which may also have `label` and `id`."""
    body = _object(text, at)
    label, own_name = body.pop("label", None), body.pop("id", None)
    return _request(body, label, own_name, at, name)


def _object(text: str | bytes, at: str) -> dict[str, Any]:
    if len(text) > LARGEST_REQUEST:
        raise Refused(f"{at}: more than {LARGEST_REQUEST} bytes")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{at}: not JSON ({error})") from error
    if not isinstance(body, dict):
        raise Refused(f"{at}: an object with 'instances' or 'inputs' is expected, not {_excerpt(body)}")
    return body


def _request(body: dict[str, Any], label: Any, own_name: Any, at: str, name: str) -> Request:
    _check_body(body, at)
    label = _label(label, at)
    instances = body.get("instances")
    if label is not None and instances is not None and len(instances) != 1:
        raise Refused(f"{at}: a label belongs to one row; 'instances' has {len(instances)}")
    return Request(body=body, id=name if own_name in (None, "") else str(own_name), label=label)


def _check_body(body: Mapping[str, Any], at: str) -> None:
    for key in body:
        if key not in _BODY:
            near = get_close_matches(key, (*_BODY, "label", "id"), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_BODY)}, label and id"
            raise Refused(f"{at}: unknown key {_excerpt(key)}; {hint}")
    if ("instances" in body) == ("inputs" in body):
        raise Refused(f"{at}: exactly one of 'instances' and 'inputs' is expected")
    if "instances" in body and not (isinstance(body["instances"], list) and body["instances"]):
        raise Refused(f"{at}: 'instances' is {_excerpt(body['instances'])}, not a list with rows")
    if not isinstance(body.get("signature_name", ""), str):
        raise Refused(f"{at}: 'signature_name' is {_excerpt(body['signature_name'])}, not a text")


def _label(label: Any, at: str) -> int | float | str | None:
    """The label; None where it is missing: null, or NaN where a column has no null."""
    if isinstance(label, bool):
        return int(label)
    if isinstance(label, float) and math.isnan(label):
        return None
    if label is None or isinstance(label, int | float | str):
        return label
    raise Refused(f"{at}: the label is {_excerpt(label)}, neither a number nor a text")


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _from_parquet(path: Path) -> Iterator[Request]:
    """The requests in the column `request` (REST predict bodies), with `label` and `id` where these columns exist.

    A file with a column `status` is a model server's log, which every client of the server writes to: only requests that were answered
    and can be sent again are read, the others are skipped.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = _parquet_columns(file, path)
            rows = chain.from_iterable(batch.to_pylist() for batch in file.iter_batches(64, columns=columns, use_threads=False))
            read = _from_log if "status" in columns else _from_row
            for number, row in enumerate(rows, 1):
                if request := read(row, f"{path}: row {number}", f"{path.name}:{number}"):
                    yield request
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise Refused(f"{path}: not a Parquet file that can be read ({error})") from error


def _parquet_columns(file: Any, path: Path) -> list[str]:
    if "request" not in file.schema_arrow.names:
        raise Refused(f"{path}: column 'request' with REST predict bodies is missing; there are {', '.join(file.schema_arrow.names[:20])}")
    for group in range(file.metadata.num_row_groups):
        chunks = (file.metadata.row_group(group).column(i) for i in range(file.metadata.num_columns))
        if large := [chunk for chunk in chunks if chunk.path_in_schema in _COLUMNS and chunk.total_uncompressed_size > LARGEST_CHUNK]:
            size = large[0].total_uncompressed_size
            raise Refused(f"{path}: row group {group}: {size} bytes in one column; at most {LARGEST_CHUNK} are read")
    return [name for name in _COLUMNS if name in file.schema_arrow.names]


def _from_log(row: Mapping[str, Any], at: str, name: str) -> Request | None:
    if row["status"] != 200:
        return None
    try:
        body = _object(row["request"] or "", at)
        return _row({key: value for key, value in body.items() if key in _BODY}, row, at, name)  # servers ignore other keys, too
    except Refused:
        return None


def _from_row(row: Mapping[str, Any], at: str, name: str) -> Request:
    text = row["request"]
    if not isinstance(text, str | bytes):
        raise Refused(f"{at}: 'request' is {_excerpt(text)}, not a text with a REST predict body")
    return _row(_object(text, at), row, at, name)


def _row(body: dict[str, Any], row: Mapping[str, Any], at: str, name: str) -> Request:
    if row.get("signature"):
        body.setdefault("signature_name", row["signature"])
    return _request(body, row.get("label"), row.get("id"), at, name)


def _from_records(path: Path) -> Iterator[Request]:
    from google.protobuf.message import DecodeError

    from tfcanary.tf.wire import messages

    for number, record in enumerate(tfrecord.read(path), 1):
        at = f"{path}: record {number}"
        try:
            log = messages.PredictionLog.FromString(record)
        except DecodeError as error:
            raise Refused(f"{at}: not a PredictionLog ({error})") from error
        kind = log.WhichOneof("log_type")
        if kind != "predict_log":
            raise Refused(f"{at}: holds {kind or 'no PredictionLog'}; only predict requests can be sent again")
        yield Request(body=_body(log.predict_log.request, at), id=f"{path.name}:{number}")


def _body(request: Any, at: str) -> dict[str, Any]:
    """The columnar REST body of a predict request: one column for each input."""
    from tfcanary.tf.wire import tensor

    inputs = {}
    for name, proto in sorted(request.inputs.items()):
        try:
            inputs[name] = _as_json(tensor.to_array(proto, LARGEST_REQUEST))
        except Refused as error:
            raise Refused(f"{at}: input {_excerpt(name)}: {error}") from error
    if not inputs:
        raise Refused(f"{at}: a predict request without inputs")
    body: dict[str, Any] = {"inputs": inputs}
    if request.model_spec.signature_name:
        body["signature_name"] = request.model_spec.signature_name
    return body


def _as_json(array: NDArray[Any]) -> Any:
    """The tensor as nested lists of values that JSON can represent."""
    if array.dtype.kind == "c":
        raise Refused("complex numbers cannot be sent as JSON")
    return _as_texts(array.tolist()) if array.dtype == object else array.tolist()


def _as_texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_texts(item) for item in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": b64encode(value).decode()}
