"""What one request, and all of them together, may cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from fieldmark.data.picture import Limits as ImageLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`image` bounds one picture; the rest bounds requests. Bytes are bytes, `_s` seconds.

    `max_waiting_*` bound what all requests hold together while they are read, wait or are worked on: beyond it a
    request is refused at once (503) and told when to come again. `batch_s` is how long one batch may keep a worker:
    what batching may add to the latency of an image. `linger_s` is how long a connection is kept for a client that
    was refused before it had sent all. `answer_s` is how long a request may wait for its answer, and `work_s` how
    long a worker may take for one image before it is stopped.
    """

    image: ImageLimits = field(default_factory=lambda: ImageLimits(max_bytes=16 * 2**20, max_pixels=50_000_000))
    max_body_bytes: int = 32 * 2**20
    max_images: int = 64
    max_header_bytes: int = 32 * 2**10
    max_waiting_images: int = 512
    max_waiting_bytes: int = 256 * 2**20
    head_s: float = 10.0
    linger_s: float = 5.0
    body_s: float = 20.0
    answer_s: float = 10.0
    work_s: float = 5.0
    batch_s: float = 0.05
