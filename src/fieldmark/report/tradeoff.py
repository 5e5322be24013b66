"""Where candidates stand in the chart of score against latency; `selection.html` draws it as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fieldmark.report.selection import Candidate, Selection

WIDTH, HEIGHT = 300, 200  # units of the chart's inner square
SMALLEST_RADIUS, LARGEST_RADIUS = 2.5, 6.5
NUMBER_GAP = 4.0  # between a dot and its number
NUMBER_HEIGHT = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A candidate: its number in the table, its place, its interval from `top` to `bottom`, and a radius that grows
    with the cube root of its size."""

    number: int
    x: float
    y: float
    top: float
    bottom: float
    radius: float
    number_x: float
    number_y: float
    kind: str  # chosen, tied, or behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """Ticks are (position, text). `limit_x` is where the latency limit stands, if there is one on the chart."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    limit_x: float | None


def tradeoff(selection: Selection) -> Tradeoff | None:
    """None where nothing can be drawn: fewer than two candidates have both a score and a latency."""
    shown = [
        (number, each)
        for number, each in enumerate(selection.candidates, start=1)
        if each.score is not None and each.score.value is not None and each.latency_ms is not None
    ]
    if len(shown) < 2:
        return None
    latencies = [each.latency_ms[0] for _, each in shown if each.latency_ms is not None]
    limit = selection.latency_limit_ms
    first, last = _decades(latencies if limit is None else [*latencies, limit])
    low, high, step = _scale([bound for _, each in shown for bound in _bounds(each)])
    sizes = [each.size_bytes or 0 for _, each in shown]

    def x(milliseconds: float) -> float:
        return round(WIDTH * (math.log10(milliseconds) - first) / (last - first), 1)

    def y(share: float) -> float:
        return round(HEIGHT * (1 - (share - low) / (high - low)), 1)

    dots: list[Dot] = []
    for number, each in shown:
        bottom, value, top = _bounds(each)
        radius = _radius(each.size_bytes or 0, max(sizes))
        at = (x(each.latency_ms[0]) if each.latency_ms else 0.0, y(value))
        dots.append(
            Dot(
                number=number,
                x=at[0],
                y=at[1],
                top=y(top),
                bottom=y(bottom),
                radius=radius,
                number_x=round(at[0] + radius + NUMBER_GAP, 1),
                number_y=_free(at[0], at[1], dots),
                kind=each.outcome,
            )
        )
    count = round((high - low) / step)
    return Tradeoff(
        dots=tuple(dots),
        x_ticks=tuple((x(value), f"{value:g}") for value in _ticks(first, last)),
        y_ticks=tuple((y(low + step * part), f"{100 * (low + step * part):g}") for part in range(count + 1)),
        limit_x=None if limit is None else x(limit),
    )


def _bounds(each: Candidate) -> tuple[float, float, float]:
    score = each.score
    value = (score.value if score else None) or 0.0
    low = value if score is None or score.low is None else score.low
    high = value if score is None or score.high is None else score.high
    return low, value, high


def _radius(size: int, largest: int) -> float:
    share = (size / largest) ** (1 / 3) if largest else 0.0
    return round(SMALLEST_RADIUS + (LARGEST_RADIUS - SMALLEST_RADIUS) * share, 1)


def _decades(latencies: list[float]) -> tuple[float, float]:
    """The ends of a logarithmic axis: a tenth of its length beyond the outermost."""
    low, high = math.log10(min(latencies)), math.log10(max(latencies))
    beyond = max(0.1 * (high - low), 0.1)
    return low - beyond, high + beyond


def _ticks(first: float, last: float) -> list[float]:
    """1, 2, 5, 10 ... within the axis; without the twos and fives where these would crowd it."""
    steps = (1, 2, 5) if last - first < 2.2 else (1,)
    found = [n * 10.0**power for power in range(math.floor(first), math.ceil(last) + 1) for n in steps]
    return [value for value in found if first <= math.log10(value) <= last]


def _scale(shares: list[float]) -> tuple[float, float, float]:
    """(low, high, step): round numbers around the shares, four to seven steps apart."""
    low, high = min(shares), max(shares)
    step = next(step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / step <= 6 or step == 0.2)
    return max(0.0, math.floor(low / step) * step), min(1.0, math.ceil(high / step) * step), step


def _free(x: float, y: float, dots: list[Dot]) -> float:
    """Where a number can stand beside its dot without covering another's: its own height, or a step up or down."""
    near = [dot.number_y for dot in dots if abs(dot.x - x) < 4 * NUMBER_GAP + LARGEST_RADIUS]
    for away in (0.0, NUMBER_HEIGHT, -NUMBER_HEIGHT, 2 * NUMBER_HEIGHT, -2 * NUMBER_HEIGHT):
        if all(abs(y + 4 + away - other) >= NUMBER_HEIGHT - 1 for other in near):
            return round(y + 4 + away, 1)
    return round(y + 4, 1)
