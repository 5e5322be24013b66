"""A combination beside its members, on the same images."""

from __future__ import annotations

import msgspec

from fieldmark.measures.estimate import Estimate


class Beside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One classifier of the comparison: its figure, and how much better the combination is (None for itself), on
    the same images; `needed` is the share of them that the combination shows to it; latency (median, p99) of one
    image from its file, on the machine that made the bundle."""

    name: str
    figure: Estimate
    difference: Estimate | None
    needed: Estimate
    latency_ms: tuple[float, float]
    size_bytes: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`measure` is the name of the figure; the combination comes first, then its members in their order."""

    measure: str
    rows: tuple[Beside, ...]
