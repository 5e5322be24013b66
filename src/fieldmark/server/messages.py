"""What the front process and a worker say to each other: msgpack in frames of stated length, over the worker's
standard input and output. Structs, so that a frame can hold nothing but these values."""

from __future__ import annotations

from typing import Any

import msgspec

LENGTH_BYTES = 4


class Model(msgspec.Struct, frozen=True, array_like=True):
    """A bundle that a worker loads, and the key by which batches name it."""

    key: str
    path: str


class Load(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The first message to a worker: bounds of one image, and the `sizes` of batches to time."""

    models: tuple[Model, ...]
    max_bytes: int
    max_pixels: int
    sizes: tuple[int, ...]


class Batch(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Images of one model. `images` are encoded files, or, with `raw`, pixels uint8 [S, S, 3] as their bytes."""

    number: int
    key: str
    images: tuple[bytes, ...]
    raw: bool


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """All models are loaded and their canaries answered as recorded. `seconds` of a batch, by key and size."""

    seconds: dict[str, dict[int, float]]


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A model could not be loaded: the three parts of the error. The worker ends."""

    what: str
    where: str
    do: str


class Row(msgspec.Struct, frozen=True, array_like=True):
    """The answer for one image: float64 probabilities [C], float32 logits [C] and embedding [D] as their bytes, and
    the decision; or why there is none."""

    probabilities: bytes = b""
    logits: bytes = b""
    embedding: bytes = b""
    labels: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


class Answered(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A row for each image of batch `number`, in order; what decoding (with geometry) and the graph took."""

    number: int
    rows: tuple[Row, ...]
    decode_s: float
    run_s: float


TO_WORKER = msgspec.msgpack.Decoder(Load | Batch)
TO_FRONT = msgspec.msgpack.Decoder(Ready | Failed | Answered)
_ENCODER = msgspec.msgpack.Encoder()


def framed(message: Any) -> bytes:
    """The message with its length before it."""
    encoded = _ENCODER.encode(message)
    return len(encoded).to_bytes(LENGTH_BYTES, "little") + encoded
