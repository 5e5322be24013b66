"""What became of each form, as a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fieldmark.conversion.exported import FEWEST_AGREE, MOST_LOST, Exported, in_points
from fieldmark.report.page import drawn
from fieldmark.report.wording import wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A form; shares are of the largest in the table, in 100."""

    each: Exported
    lost: str
    size_share: float
    rate_share: float
    quickest: bool


def page(done: Sequence[Exported], name: str) -> str:
    """HTML of the forms that the bundle `name` was asked for."""
    costs = [each.cost for each in done if each.cost]
    rate = max((cost.images_per_s for cost in costs), default=0.0)
    size = max((cost.size_bytes for cost in costs), default=0)
    proof = next((each.proof for each in done if each.proof), None)
    shown = [
        Row(
            each=each,
            lost=in_points(each.proof) if each.proof else "–",
            size_share=round(100 * each.cost.size_bytes / size, 1) if each.cost else 0.0,
            rate_share=round(100 * each.cost.images_per_s / rate, 1) if each.cost else 0.0,
            quickest=each.cost is not None and each.cost.images_per_s == rate,
        )
        for each in done
    ]
    return drawn(
        "exports.html",
        name=name,
        headline=_headline(done),
        proof=proof,
        measure=wording(proof.measure).label.lower() if proof else "accuracy",
        shown=shown,
        fewest=f"{100 * FEWEST_AGREE:g} %",
        most_lost=f"{100 * MOST_LOST:g}",
    )


def _headline(done: Sequence[Exported]) -> str:
    proven = [each for each in done if each.bundle and each.proof]
    said = f"{len(proven)} of {len(done)} forms answer as the float32 graph does, within their bounds."
    timed = [(each.cost.images_per_s, each.form) for each in proven if each.cost]
    if len(timed) < 2:
        return said
    rate, quickest = max(timed)
    return f"{said} {quickest} is the quickest here: {rate:.1f} images per second."
