"""What the comparison comes to: a simpler classifier that is as good is to be preferred, and that is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fieldmark.report.comparison import Beside, Comparison
from fieldmark.report.wording import hundredths, wording


def verdict(kind: str, comparison: Comparison) -> tuple[str, ...]:
    """Notes for a person; empty where the combination is worth its work."""
    members = comparison.rows[1:]
    return tuple(_of_cascade(*members) if kind == "cascade" else _of_ensemble(comparison.measure, members))


def _of_ensemble(measure: str, members: Sequence[Beside]) -> Iterator[str]:
    best = max(members, key=lambda member: member.figure.value or 0.0)
    gain = best.difference
    if gain is None or gain.value is None or gain.low is None or gain.high is None or gain.low > 0:
        return
    yield (
        f"the ensemble is not surely better than {best.name} alone, which is simpler: {100 * gain.value:+.1f} points "
        f"of {wording(measure).label.lower()} (95 %: {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    )


def _of_cascade(small: Beside, large: Beside) -> Iterator[str]:
    asked = large.needed.value or 0.0
    mean_ms = small.latency_ms[0] + asked * large.latency_ms[0]
    if mean_ms >= large.latency_ms[0]:
        yield (
            f"the cascade saves no time here: {small.name} takes {small.latency_ms[0]:.1f} ms, and {large.name}, "
            f"{large.latency_ms[0]:.1f} ms by itself, is asked about {hundredths(asked)} in 100 test images"
        )
