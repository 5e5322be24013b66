"""Where things stand in the charts: figures become coordinates here; `charts.html` draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fieldmark.evaluation.evaluation import ReliabilityBin
from fieldmark.report.report import Epoch

SIDE = 300  # units of the reliability square
WIDTH, HEIGHT = 300, 160  # units of a training curve
MOST_POINTS = 400  # more of a curve than anyone can see


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One reliability bin: its dot, its interval as a vertical line, and its share of the images as a column."""

    x: float
    y: float
    top: float
    bottom: float
    column_x: float
    column_width: float
    column_height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a chart; `points` in the form that SVG's polyline takes."""

    name: str
    points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A small line chart over epochs. `best_x` marks the epoch that was kept; ticks are (position, text)."""

    title: str
    curves: tuple[Curve, ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    best_x: float | None


def reliability(bins: Sequence[ReliabilityBin]) -> tuple[Bar, ...]:
    """Bins that hold images, in the unit square of SIDE by SIDE; y grows downwards, as in SVG."""
    held = [b for b in bins if b.came_true.value is not None and b.came_true.n]
    most = max((b.came_true.n for b in held), default=1)
    return tuple(_bar(b, most) for b in held)


def _bar(b: ReliabilityBin, most: int) -> Bar:
    value = b.came_true.value or 0.0
    low = value if b.came_true.low is None else b.came_true.low
    high = value if b.came_true.high is None else b.came_true.high
    return Bar(
        x=_place(b.said),
        y=_place(1 - value),
        top=_place(1 - high),
        bottom=_place(1 - low),
        column_x=_place(b.low),
        column_width=max(_place(b.high) - _place(b.low) - 1, 1),
        column_height=round(50 * b.came_true.n / most, 1),
    )


def _place(share: float) -> float:
    return round(SIDE * share, 1)


def training_curves(epochs: Sequence[Epoch], best: int | None, score_name: str) -> tuple[Curves, ...]:
    """Loss and score over epochs; none where there were fewer than two epochs to join."""
    if len(epochs) < 2:
        return ()
    shown = epochs[:: math.ceil(len(epochs) / MOST_POINTS)]
    losses: list[tuple[str, Callable[[Epoch], float]]] = [
        ("training", lambda epoch: epoch.train_loss),
        ("validation", lambda epoch: epoch.validation_loss),
    ]
    return (
        _chart("Loss", shown, losses, best),
        _chart(score_name, shown, [("validation", lambda epoch: epoch.score)], best),
    )


def _chart(
    title: str, epochs: Sequence[Epoch], series: Sequence[tuple[str, Callable[[Epoch], float]]], best: int | None
) -> Curves:
    values = [read(epoch) for _, read in series for epoch in epochs if math.isfinite(read(epoch))]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = (high - low) or max(abs(high), 1.0) * 0.1
    first, last = epochs[0].epoch, epochs[-1].epoch

    def x(epoch: int) -> float:
        return round(WIDTH * (epoch - first) / max(last - first, 1), 1)

    def y(value: float) -> float:
        return round(HEIGHT * (1 - (value - low) / span), 1)

    def line(read: Callable[[Epoch], float]) -> str:
        return " ".join(f"{x(e.epoch)},{y(read(e))}" for e in epochs if math.isfinite(read(e)))

    return Curves(
        title=title,
        curves=tuple(Curve(name=name, points=line(read)) for name, read in series),
        y_ticks=tuple((y(low + span * part), f"{low + span * part:.3g}") for part in (0, 0.5, 1)),
        x_ticks=tuple((x(epoch), str(epoch)) for epoch in sorted({first, (first + last) // 2, last})),
        best_x=x(best) if best is not None and first <= best <= last else None,
    )
