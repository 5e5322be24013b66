"""What was measured of a bundle on a dataset. Data only; `report` draws it."""

from __future__ import annotations

from typing import Literal

import msgspec

from fieldmark.measures.estimate import Estimate

Part = Literal["train", "validation", "test", "out-of-fold"]


class ClassFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of one class; `n` images truly have it, `predicted` were said to."""

    name: str
    n: int
    predicted: int
    figures: dict[str, Estimate]  # precision, recall, f1, auroc, average_precision


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images whose stated probability lies in [low, high): what was said and what came true."""

    low: float
    high: float
    said: float
    came_true: Estimate


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image's answer, for the strips of mistakes and of uncertain hits."""

    file: str
    truth: tuple[str, ...]
    answer: tuple[str, ...]
    probability: float  # of the answer (single), or of `label` (multi)
    label: str = ""  # multi: the one that was most wrong, or of an answer that is right the least certain one


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every figure of one part of a dataset.

    `part` says what the images were to the model: "test" and "validation" were held out ("validation" also
    chose and calibrated); "out-of-fold" pools K models, each tested on the fold that it never saw;
    "train" is what it learned from, and no test.
    """

    task: Literal["single", "multi"]
    part: Part
    n: int
    classes: tuple[str, ...]
    absent: tuple[str, ...]  # classes that no image of this part has: not in the macro averages
    figures: dict[str, Estimate]
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]  # single: [truth][answer]; multi: per class (tn, fp, fn, tp)
    reliability: tuple[ReliabilityBin, ...]
    mistakes: tuple[Case, ...]  # most confident first
    hits: tuple[Case, ...]  # least certain first
    skipped: tuple[tuple[str, str], ...] = ()  # (file, reason) of images that could not be read
    notes: tuple[str, ...] = ()
