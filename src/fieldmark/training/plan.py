"""The training loop's settings with nothing left to decide."""

from __future__ import annotations

from typing import Literal

import msgspec

from fieldmark.encoders.row import Optimiser


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Same plan, same data, same machine: the same bytes.

    `epochs` already fits the budget, if there was one, and so may end within a pass. `refits` (step, total steps
    from there on) is how the schedule met that budget while it ran; empty: one schedule from start to end.
    """

    epochs: float
    batch: int
    optimiser: Optimiser
    learning_rate: float
    weight_decay: float
    warmup: float
    label_smoothing: float
    flip: bool
    crop_scale: float
    shift_px: int = 0  # random shift of so many pixels each way, edges mirrored
    mirror: bool = False  # answers are those of the image and its mirror image together
    patience: int
    precision: Literal["fp32", "bf16", "fp16"]
    threads: int
    seed: int
    refits: tuple[tuple[int, int], ...] = ()
