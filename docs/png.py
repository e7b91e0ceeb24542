"""Makes a browser's picture small: few colours, each pixel one byte. Reads and writes the one kind of PNG that is needed here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}
"""Of colour types: red, green and blue; the same with transparency."""

Pixels = NDArray[np.uint8]


def with_few_colours(png: bytes, most: int) -> bytes:
    """The picture with the colours that most of its pixels have, at most `most`; each other pixel takes the nearest of them."""
    pixels = decode(png)
    colours, index, count = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    kept = colours[np.argsort(-count, kind="stable")[:most]]
    distance = np.stack([((colours.astype(np.int32) - one) ** 2).sum(axis=1) for one in kept.astype(np.int32)])
    nearest = distance.argmin(axis=0).astype(np.uint8)
    return encode(nearest[index.reshape(pixels.shape[:2])], kept.astype(np.uint8))


def decode(png: bytes) -> Pixels:
    """Rows of pixels of red, green and blue; transparency is left out. Raises ValueError for another kind of PNG."""
    if not png.startswith(SIGNATURE):
        raise ValueError("is no PNG")
    chunks = list(_chunks(png))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or kind not in CHANNELS or interlaced:
        raise ValueError(f"depth {depth}, colour type {kind}, interlaced {interlaced}: must be 8 bits of red, green and blue, row by row")
    channels = CHANNELS[kind]
    raw = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
    rows = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
    return _unfiltered(rows, channels).reshape(height, width, channels)[:, :, :3]


def encode(index: Pixels, palette: Pixels) -> bytes:
    """A PNG of one byte a pixel, and the colours that the bytes mean."""
    height, width = index.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), index], axis=1)
    return assembled(width, height, 3, rows.tobytes(), palette.tobytes())


def assembled(width: int, height: int, kind: int, rows: bytes, palette: bytes = b"") -> bytes:
    """A PNG of 8 bits with its rows, each behind the byte that says how it is written."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    parts += [(b"PLTE", palette)] if palette else []
    parts += [(b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in parts)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        yield name, png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _unfiltered(rows: Pixels, channels: int) -> Pixels:
    """Each row is written as a difference to its left, its upper, or both neighbours; the first byte says which."""
    out = np.zeros((rows.shape[0], rows.shape[1] - 1), np.uint8)
    above = np.zeros(rows.shape[1] - 1, np.uint8)
    for number, row in enumerate(rows):
        kind, values = int(row[0]), row[1:]
        if kind == 1:
            above = np.cumsum(values.reshape(-1, channels), axis=0, dtype=np.uint8).reshape(-1)
        elif kind == 2:
            above = values + above
        elif kind in (3, 4):
            above = _from_both(values, above, channels, kind)
        else:
            above = values.copy()
        out[number] = above
    return out


def _from_both(values: Pixels, above: Pixels, channels: int, kind: int) -> Pixels:
    """The mean of the left and the upper neighbour (3), or whichever of three is nearest to left + upper - corner (4)."""
    done, upper = [0] * channels, [0] * channels + above.tolist()
    for number, value in enumerate(values.tolist()):
        left, up, corner = done[number], upper[number + channels], upper[number]
        guess = (left + up) // 2 if kind == 3 else _paeth(left, up, corner)
        done.append((value + guess) & 255)
    return np.array(done[channels:], np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    return left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
