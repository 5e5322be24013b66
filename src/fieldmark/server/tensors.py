"""Tensors of the Open Inference Protocol V2 and their two forms on the wire, both ways.

JSON: numbers in row-major order, flat or nested as the shape says. BYTES are strings, and JSON has only text: coming
in, a string is the base64 of an encoded image, or its data URL (Triton takes a string for the UTF-8 of the bytes,
which no JPEG or PNG is); going out, it is a label.

Binary: little-endian, row-major, without padding; an element of BYTES is its length in four bytes, then the bytes.

Sources: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol and, for the binary form,
docs/protocol/extension_binary_data.md of the Triton Inference Server. Nothing here is allocated by what a shape says
before as many bytes have arrived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.data.picture import Pixels
from fieldmark.server.reading import IMAGES, images_from_base64, read_json
from fieldmark.server.refusals import RequestError

# Name -> datatype. `image` holds encoded images (JPEG, PNG ...), `pixels` what the geometry makes of them.
INPUTS = {"image": "BYTES", "pixels": "UINT8"}
OUTPUTS = {"probabilities": "FP32", "labels": "BYTES", "logits": "FP32", "embedding": "FP32"}

_LENGTH_BYTES = 4
_NO_STRUCTURE = b"0123456789 \t\r\n"
_NUMBERS = "give whole numbers from 0 to 255, flat in row-major order or nested as the shape says"
_SIZES = "send exactly the bytes that the shape says, in the order of the inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """`data` is an array of `shape`, or, where the datatype is BYTES, its elements in row-major order."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: NDArray[Any] | tuple[bytes, ...]


def to_binary(tensor: Tensor) -> bytes:
    """The tensor as the protocol's binary form."""
    if isinstance(tensor.data, tuple):
        return b"".join(len(one).to_bytes(_LENGTH_BYTES, "little") + one for one in tensor.data)
    return tensor.data.astype(tensor.data.dtype.newbyteorder("<"), copy=False).tobytes()


def to_json(tensor: Tensor) -> list[Any]:
    """The tensor as a flat list for JSON: numbers, or the strings that BYTES are the UTF-8 of."""
    if isinstance(tensor.data, tuple):
        return [one.decode() for one in tensor.data]
    return list(tensor.data.ravel().tolist())


def images_from_binary(sent: memoryview, count: int, *, where: str) -> tuple[bytes, ...]:
    """The `count` elements of a BYTES tensor. RequestError where their lengths do not fill `sent` exactly."""
    images = []
    for index in range(count):
        size = int.from_bytes(sent[:_LENGTH_BYTES], "little")
        if len(sent) < _LENGTH_BYTES + size:
            raise RequestError(f"element {index} of {count} is cut off", where=where, do=_SIZES)
        images.append(bytes(sent[_LENGTH_BYTES : _LENGTH_BYTES + size]))
        sent = sent[_LENGTH_BYTES + size :]
    if len(sent):
        raise RequestError(f"{len(sent)} bytes are left over after {count} elements", where=where, do=_SIZES)
    return tuple(images)


def images_from_json(sent: msgspec.Raw, count: int, *, where: str) -> tuple[bytes, ...]:
    """The `count` images of a JSON list of base64 strings; RequestError for anything else."""
    texts = read_json(sent, tuple[str, ...], where=where, do=IMAGES)
    if len(texts) != count:
        raise RequestError(f"there are {len(texts)} strings, and the shape says {count}", where=where, do=IMAGES)
    return images_from_base64(texts, where=where)


def pixels_from_binary(sent: memoryview, shape: tuple[int, ...], *, where: str) -> Pixels:
    """uint8 of `shape`, a read-only view of `sent`; RequestError where that has another number of bytes."""
    if len(sent) != math.prod(shape):
        raise RequestError(
            f"there are {len(sent)} bytes, and the shape says {math.prod(shape)}", where=where, do=_SIZES
        )
    return np.frombuffer(sent, np.uint8).reshape(shape)


def pixels_from_json(sent: msgspec.Raw, shape: tuple[int, ...], *, where: str) -> Pixels:
    """uint8 of `shape` from JSON numbers, flat or nested; RequestError for anything else, with `where` counted flat.

    Nested lists are read as a flat one, and their nesting is compared as text: as lists of lists, a hostile `[],[],`
    would take twenty times its size.
    """
    text = bytes(sent)
    flat = b"[" + text.translate(None, b"[]") + b"]"
    numbers = read_json(flat, list[Annotated[int, msgspec.Meta(ge=0, le=255)]], where=where, do=_NUMBERS)
    count = math.prod(shape)
    if len(numbers) != count:
        raise RequestError(f"there are {len(numbers)} numbers, and the shape says {count}", where=where, do=_NUMBERS)
    if text.translate(None, _NO_STRUCTURE) not in (_nesting((count,)), _nesting(shape)):
        raise RequestError("the numbers are neither flat nor nested as the shape says", where=where, do=_NUMBERS)
    return np.frombuffer(bytes(numbers), np.uint8).reshape(shape)


def _nesting(shape: tuple[int, ...]) -> bytes:
    """The brackets and commas of a JSON array of `shape`: `[[,,],[,,]]` for [2, 3]."""
    inner = b""
    for side in reversed(shape):
        inner = b"[" + b",".join([inner] * side) + b"]"
    return inner
