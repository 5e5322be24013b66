"""The confusion matrix to look at: a table while it can be read, a small picture when it cannot."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.evaluation.evaluation import Evaluation

READABLE = 30  # classes; a table of more cells is a picture, not a text
PICTURE_PX = 250  # longest side of that picture; several classes share a pixel beyond it
SHADES = 9
WRONG, RIGHT = (219, 98, 40), (30, 150, 137)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`count` images; `shade` 0..SHADES for their share of the row; `right` and wrong cells differ in colour."""

    count: int
    shade: int
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The images that truly are `name`, by what they were said to be."""

    name: str
    n: int
    cells: tuple[Cell, ...]


def table(evaluation: Evaluation) -> tuple[Row, ...]:
    """Rows of the matrix with their shades; empty where there are too many classes to read (or several labels)."""
    if evaluation.task != "single" or len(evaluation.classes) > READABLE:
        return ()
    return tuple(
        Row(
            name=name,
            n=sum(counts),
            cells=tuple(
                Cell(count=count, shade=_shade(count, sum(counts)), right=truth == answer)
                for answer, count in enumerate(counts)
            ),
        )
        for truth, (name, counts) in enumerate(zip(evaluation.classes, evaluation.confusion))
    )


def picture(evaluation: Evaluation) -> str:
    """The matrix of many classes as a data URI: PNG, truth downwards, answer across, darker for a larger share of
    the row; teal on the diagonal, rust off it; transparent where nothing is, so that it suits light and dark."""
    if evaluation.task != "single" or len(evaluation.classes) <= READABLE:
        return ""
    counts = np.asarray(evaluation.confusion, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(counts), dtype=bool)
    wrong, hits = _pooled(np.where(right, 0, shares)), _pooled(np.where(right, shares, 0))
    # The square root lifts single mistakes out of the paper.
    levels = np.where(hits > 0, SHADES + 1, 0) + np.ceil(SHADES * np.sqrt(np.maximum(hits, wrong)))
    return "data:image/png;base64," + base64.b64encode(_png(levels.astype(np.uint8))).decode()


def _shade(count: int, of: int) -> int:
    return 0 if not count else max(1, round(SHADES * count / of))


def _pooled(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    step = -(-len(shares) // PICTURE_PX)
    side = -(-len(shares) // step)
    padded = np.zeros((side * step, side * step))
    padded[: len(shares), : len(shares)] = shares
    pooled: NDArray[np.float64] = padded.reshape(side, step, side, step).max(axis=(1, 3))
    return pooled


def _png(levels: NDArray[np.uint8]) -> bytes:
    """Palette: 0 nothing, then SHADES of rust, one spare, SHADES of teal; each more opaque than the last."""
    image = Image.fromarray(levels).convert("P")
    shades = [*([WRONG] * (SHADES + 1)), *([RIGHT] * (SHADES + 1))]
    image.putpalette(bytes(part for colour in shades for part in colour))
    opacity = [0, *(90 + 165 * shade // SHADES for shade in range(1, SHADES + 1))]
    png = io.BytesIO()
    image.save(png, "PNG", optimize=True, transparency=bytes([*opacity, *opacity]))
    return png.getvalue()
