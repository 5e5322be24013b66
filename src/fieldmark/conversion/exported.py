"""What became of a form: where it lies, what proves it, what it costs."""

from __future__ import annotations

import msgspec

from fieldmark.bundle.schema import Proof

FEWEST_AGREE, MOST_LOST = 0.985, 0.005  # of what is rounded; float32 has to agree everywhere


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes of the form's own files; milliseconds from bytes to answer of one image, all cores at work on it; images
    per second; and the most MB of memory of a process that predicts, None where `fieldmark predict` cannot."""

    size_bytes: int
    p50_ms: float
    p99_ms: float
    images_per_s: float
    peak_mb: float | None


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one form: the bundle that holds it, None where it was not written, and then `why`."""

    form: str
    bundle: str | None
    why: str
    proof: Proof | None
    cost: Cost | None
    notes: tuple[str, ...]


def in_points(proof: Proof) -> str:
    """What it loses, in points of 100, with the interval."""
    if proof.drop is None or proof.drop_low is None or proof.drop_high is None:
        return "unknown"
    return f"{100 * proof.drop:.2f} ({100 * proof.drop_low:.2f} to {100 * proof.drop_high:.2f})"
