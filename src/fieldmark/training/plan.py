"""The training loop's settings with nothing left to decide."""

from __future__ import annotations

from typing import Literal

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Same plan, same data, same machine: the same bytes. `epochs` already fits the budget, if there was one."""

    epochs: int
    batch: int
    optimiser: Literal["sgd", "adamw"]
    learning_rate: float
    weight_decay: float
    warmup: float
    label_smoothing: float
    flip: bool
    crop_scale: float
    patience: int
    precision: Literal["fp32", "bf16", "fp16"]
    threads: int
    seed: int
