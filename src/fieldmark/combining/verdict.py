"""What the comparison comes to: a simpler classifier that is as good is to be preferred, and that is said."""

from __future__ import annotations

from collections.abc import Iterator

from fieldmark.report.comparison import Beside, Comparison
from fieldmark.report.wording import hundredths, wording


def verdict(kind: str, comparison: Comparison) -> tuple[str, ...]:
    """Notes for a person; empty where the combination is worth its work."""
    whole, *members = comparison.rows
    return tuple(_of_cascade(whole, members) if kind == "cascade" else _of_ensemble(comparison.measure, members))


def _of_ensemble(measure: str, members: list[Beside]) -> Iterator[str]:
    best = max(members, key=lambda member: member.figure.value or 0.0)
    gain = best.difference
    if gain is None or gain.value is None or gain.low is None or gain.high is None or gain.low > 0:
        return
    yield (
        f"the ensemble is not surely better than {best.name} alone, which is simpler: {100 * gain.value:+.1f} points "
        f"of {wording(measure).label.lower()} (95 %: {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    )


def _of_cascade(whole: Beside, members: list[Beside]) -> Iterator[str]:
    small, large = members
    if whole.latency_ms[0] >= large.latency_ms[0]:
        yield (
            f"the cascade saves no time here: {whole.latency_ms[0]:.1f} ms for a usual image, and {large.name} alone "
            f"takes {large.latency_ms[0]:.1f} ms"
        )
    elif small.needed.value and large.needed.value is not None:
        yield f"{hundredths(large.needed.value)} in 100 test images needed {large.name}"
