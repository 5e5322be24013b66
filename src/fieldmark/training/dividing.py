"""Which images are for training, which choose and calibrate, which test."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fieldmark.data.dataset import Dataset
from fieldmark.data.listing import shown
from fieldmark.data.splits import folds as assign_folds
from fieldmark.data.splits import parted_for_folds, small_classes, split
from fieldmark.errors import DataError
from fieldmark.training.choosing import Choice
from fieldmark.training.job import Rows
from fieldmark.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """Rows of `data` by purpose; with folds, `fold` int64 [len(train)] and no validation."""

    data: Dataset
    train: Rows
    validation: Rows
    test: Rows
    fold: Rows | None
    split: str


def divide(data: Dataset, choice: Choice, recipe: Recipe) -> Divided:
    """Folds where the choice says so, otherwise one split; parts that the data itself names are kept.

    Raises DataError where a class is too small for the split or the folds that were asked for, or has no training
    image (several labels an image: the label is then no class, and a note says so).
    """
    given = sorted(set(data.split.tolist()) - {""})
    if choice.folds:
        data = parted_for_folds(data)
        train, test = (np.flatnonzero(data.split == name) for name in ("train", "test"))
        fold = assign_folds(data.rows(train), choice.folds, seed=recipe.seed, asked=recipe.folds != "auto")
        data = _of_taught_classes(_saying_who_stays(data, train, fold), train)
        words = f"{fold.max() + 1} folds, stratified, groups kept together"
        none = np.empty(0, dtype=np.int64)
        return Divided(data=data, train=train, validation=none, test=test, fold=fold, split=_words(words, given))
    data = split(data, choice.shares, seed=recipe.seed, asked=recipe.split != "auto")
    rows = {name: np.flatnonzero(data.split == name) for name in ("train", "validation", "test")}
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise DataError(
                f"no image is left for {part}",
                where=str(data.root),
                do="add images, give larger shares with --split, or use --folds 5",
            )
    data = _of_taught_classes(data, rows["train"])
    shares = "/".join(f"{100 * share:g}" for share in choice.shares)
    return Divided(
        data=data,
        train=rows["train"],
        validation=rows["validation"],
        test=rows["test"],
        fold=None,
        split=_words(f"random {shares}, stratified, groups kept together", given),
    )


def _saying_who_stays(data: Dataset, train: Rows, fold: Rows) -> Dataset:
    """With a note that names the classes whose images are all in one group: a fold without it could not know them."""
    alone = data.rows(train[fold < 0])
    if not len(alone):
        return data
    names = shown([*small_classes(data.rows(train), 2)], 20)
    note = f"too few images to be tested, so they are learnt from alone: {names} ({len(alone)} images)"
    return replace(data, notes=(*data.notes, note))


def _of_taught_classes(data: Dataset, train: Rows) -> Dataset:
    taught = data.rows(train).counts > 0
    if taught.all():
        return data
    lost = np.flatnonzero(~taught)
    names = shown([f"{data.classes[at]} ({data.counts[at]} elsewhere)" for at in lost], 10)
    if data.task == "single":
        raise DataError(
            f"training has no image that could be read of: {names}",
            where=str(data.root),
            do="add images of these classes to the training part, or take their folders (or rows) out",
        )
    note = f"no training image has these labels, so they are no classes and are not judged: {names}"
    return replace(
        data,
        classes=tuple(name for name, kept in zip(data.classes, taught) if kept),
        targets=data.targets[:, taught],
        notes=(*data.notes, note),
    )


def _words(ours: str, given: list[str]) -> str:
    if {"train", "validation", "test"} <= set(given):
        return "as the data gives it"
    return f"{', '.join(given)} as the data gives it; the rest {ours}" if given else ours
