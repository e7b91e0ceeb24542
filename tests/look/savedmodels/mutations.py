"""Mutations of valid models: bytes, fields of messages, names of files. The same seed makes the same mutations."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.look.savedmodels.edits import INDEX, PB, WARMUP
from tfcanary.tf.wire import messages

TEXTS = ["", "x", "../../../etc/passwd", "ReadFile", "NoOp", "If", "^x", "x:7", "\u202e", "é" * 500, "{{x}}", "$(x)", "/dev/zero", "serve"]
NUMBERS = [0, 1, -1, 2, 7, 255, 2**31 - 1, -(2**31), 2**62]


def _bytes(content: bytes, pick: random.Random) -> bytes:
    """Flip, cut out, repeat, insert, overwrite or truncate."""
    found = bytearray(content)
    for _ in range(pick.choice((1, 1, 2, 8))):
        at = pick.randrange(len(found) or 1)
        length = pick.choice((1, 1, 4, 64, 1000))
        kind = pick.randrange(6)
        if kind == 0 and found:
            found[at] ^= 1 << pick.randrange(8)
        elif kind == 1:
            del found[at : at + length]
        elif kind == 2:
            found[at:at] = found[at : at + length]
        elif kind == 3:
            found[at:at] = pick.randbytes(length)
        elif kind == 4:
            found[at : at + length] = bytes([pick.choice((0, 0x7F, 0x80, 0xFF))]) * length
        else:
            del found[at:]
    return bytes(found)


def _inside(message: Any, pick: random.Random) -> Any:
    """Some message within a message, deep ones too."""
    while pick.random() < 0.93:
        below = []
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                below += [value[key] for key in value if hasattr(value[key], "ListFields")]
            else:
                below += list(value) if field.is_repeated else [value]
        if not below:
            break
        message = pick.choice(below)
    return message


def _field(content: bytes, pick: random.Random) -> bytes:
    """Set, clear or repeat fields of messages that are somewhere in the model."""
    whole = messages.SavedModel.FromString(content)
    for _ in range(pick.choice((1, 2, 5))):
        message = _inside(whole, pick)
        field = pick.choice(message.DESCRIPTOR.fields)
        if field.message_type is not None and not field.is_repeated and pick.random() < 0.5:
            getattr(message, field.name).SetInParent()
        elif field.message_type is not None or pick.random() < 0.2:
            _messages(message, field, pick)
        else:
            _scalar(message, field, pick)
    return bytes(whole.SerializeToString())


def _messages(message: Any, field: Any, pick: random.Random) -> None:
    value = getattr(message, field.name)
    if field.is_repeated and hasattr(value, "extend") and len(value) and pick.random() < 0.7:
        value.extend([pick.choice(list(value))] * pick.choice((1, 3)))
    else:
        message.ClearField(field.name)


def _scalar(message: Any, field: Any, pick: random.Random) -> None:
    text = pick.choice(TEXTS)
    value: Any = {9: text, 12: text.encode(), 8: bool(pick.randrange(2)), 1: float("nan"), 2: float("inf")}.get(field.type)
    if value is None:
        number = pick.choice(NUMBERS)
        bits = 64 if field.cpp_type in (2, 4) else 32
        unsigned = field.cpp_type in (3, 4)
        value = number % 2**bits if unsigned else (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    if field.is_repeated:
        getattr(message, field.name).extend([value] * pick.choice((1, 50)))
    else:
        setattr(message, field.name, value)


def _swap(path: Path, content: bytes, change: Callable[[bytes, random.Random], bytes], pick: random.Random) -> Callable[[], None]:
    path.write_bytes(change(content, pick))
    return lambda: _put(path, content)


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _renamed(model: Path, pick: random.Random) -> Callable[[], None]:
    """A file under another name."""
    old = pick.choice(sorted(path for path in model.rglob("*") if path.is_file() and path.name != PB))
    new = old.with_name(pick.choice(("x", "saved_model.pbtxt", old.name + " ", "…", "a\tb", "variables.data-00001-of-00002", ".x", "y.so")))
    old.rename(new)
    return lambda: (new.rename(old), None)[1]


@contextmanager
def mutated(model: Path, pick: random.Random) -> Iterator[str]:
    """The model while it is mutated; says how."""
    names = [PB, PB, PB, INDEX, "variables/variables.data-00000-of-00001", WARMUP, "fingerprint.pb"]
    path = model / pick.choice([name for name in names if (model / name).is_file()])
    kind = pick.choice(("bytes", "fields", "fields", "name"))
    if kind == "name":
        undo = _renamed(model, pick)
    elif kind == "fields":
        path = model / PB
        undo = _swap(path, path.read_bytes(), _field, pick)
    else:
        undo = _swap(path, path.read_bytes(), _bytes, pick)
    try:
        yield f"{kind} of {path.name}"
    finally:
        undo()
