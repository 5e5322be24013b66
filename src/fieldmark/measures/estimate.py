"""A figure with its doubt."""

from __future__ import annotations

from typing import Literal

import msgspec

Interval = Literal["wilson", "bootstrap", "none"]


class Estimate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`value` with its 95 % interval [low, high] from `n` images (or the count that the measure is over).

    `value` is None where the measure is undefined (AUROC of a class that is absent, say); `why` then says so.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    interval: Interval
    why: str = ""
