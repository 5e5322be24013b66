"""What a measure says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fieldmark.data.dataset import Task
from fieldmark.measures.outcomes import Floats
from fieldmark.measures.weighted import Weighted

Invariance = Literal["order of images", "order of classes", "monotone change of each class's scores"]


def images(of: Weighted) -> Floats:
    """float64 [B]: the count that most measures are over."""
    return of.images


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A row of MEASURES.

    `function`     Weighted -> float64 [B] (`scope` "all") or [C, B] (`scope` "class"); NaN where undefined
    `count`        what the estimate's n is, shaped as the figure; for "wilson", what the proportion is of
    `undefined`    why there is no value, where there is none, in words for a person
    `range`        lowest and highest value there can be
    `invariances`  what may be done to the input without changing the figure ("order of classes" of a "class"
                   row: the figures are permuted alike); image order never matters
    `more_classes_than`  the measure says something only above this many classes
    `same_as`      functions of other libraries, "module:name", with their arguments, that give the same figure
    """

    name: str
    summary: str
    reference: str
    function: Callable[[Weighted], Floats]
    needs: Literal["labels", "probabilities"]
    same_as: Mapping[str, Mapping[str, Any]]
    undefined: str
    tasks: tuple[Task, ...] = ("single", "multi")
    scope: Literal["all", "class"] = "all"
    better: Literal["higher", "lower"] = "higher"
    range: tuple[float, float] = (0.0, 1.0)
    interval: Literal["wilson", "bootstrap"] = "bootstrap"
    count: Callable[[Weighted], Floats] = images
    invariances: tuple[Invariance, ...] = ("order of images", "order of classes")
    more_classes_than: int = 0
