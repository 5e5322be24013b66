"""Training, validation and test parts, and folds: stratified, and with no group on two sides.

A group is what `groups.group_ids` says: rows of one `group`, and byte-identical images. The result depends on the
images, their labels and the seed, not on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import SPLITS, Dataset
from fieldmark.data.groups import group_ids
from fieldmark.data.listing import shown
from fieldmark.data.stratifying import Groups, share_out
from fieldmark.errors import DataError, UsageError


def split(
    dataset: Dataset, shares: tuple[float, float, float] = (0.7, 0.15, 0.15), *, seed: int, asked: bool
) -> Dataset:
    """The dataset with every row in a part; `shares` are of training, validation and test.

    Rows that have a part keep it. Rows that have none are shared out between training and the parts that nobody was
    given; where all rows have a part, missing parts are taken out of training. A share of 0 leaves a part out.
    A class with fewer groups than there are parts to fill stays in training, with a note, or is a DataError where
    the split was `asked` for. What was given and stands on two sides stays there and is said in a note.
    """
    _check_shares(shares)
    refuse_one_class(dataset)
    blank = dataset.split == ""
    pool = blank if blank.any() else dataset.split == "train"
    if not pool.any():
        what = "there are no images to train on: every row is in validation or test"
        raise DataError(what, where=str(dataset.root), do="add a train part, or leave the split of some rows empty")
    given = set(dataset.split[~pool])
    receivers = [p for p, share in zip(SPLITS, shares) if p == "train" or (share > 0 and p not in given)]
    ids = group_ids(dataset)
    part = _following(dataset, ids)
    part[pool & (part == "")] = "train"
    notes = _leaks(dataset)
    if len(receivers) > 1:
        small = _small(dataset, pool, ids, len(receivers), asked)
        held_back = np.isin(ids, ids[~pool]) | np.isin(ids, ids[pool & _has_any(dataset, small)])
        fixed = np.where(held_back, 0, -1)
        free = pool & (part == "train")
        chosen = [shares[SPLITS.index(receiver)] for receiver in receivers]
        at = _share_out(dataset, free, ids, chosen, fixed, seed, every_part=True)
        part[free] = np.array(receivers, dtype=object)[at]
        notes += _told(receivers, small, bool(blank.any()), given)
    return replace(dataset, split=part, notes=dataset.notes + notes)


def folds(dataset: Dataset, k: int, *, seed: int, asked: bool) -> NDArray[np.int64]:
    """int64 [N]: the fold, 0 to k - 1, in which a row is held out; -1: never held out, always trained on.

    Where the folds were not `asked` for, k is lowered to the number of groups, and a class that a single group holds
    is -1: to hold it out would mean to test what was never trained. Where they were asked for, a class with fewer
    than k groups is a DataError. `small_classes(dataset, 2)` names the classes that are -1.
    """
    refuse_one_class(dataset)
    if k < 2:
        raise UsageError(f"{k} folds were asked for", where="folds", do="ask for at least 2")
    ids = group_ids(dataset)
    everything = np.ones(len(dataset), dtype=bool)
    small = _small(dataset, everything, ids, k if asked else 2, asked)
    single = np.isin(ids, ids[_has_any(dataset, small)])
    count = min(k, len(np.unique(ids[~single])))
    if count < 2:
        what = "no class has two images (or groups of images) that could be told apart in folds"
        raise DataError(what, where=str(dataset.root), do="add images")
    fold = np.full(len(dataset), -1, dtype=np.int64)
    rows = ~single
    fold[rows] = _share_out(dataset, rows, ids, [1.0] * count, np.full(len(dataset), -1), seed, every_part=False)
    return fold


def parted_for_folds(dataset: Dataset) -> Dataset:
    """The dataset with a row in "test" or in "train": where it was given, or for folds, which have no other parts.

    A row without a part goes where its group is. What was given and stands on two sides is said in a note.
    """
    given = replace(dataset, split=np.where(dataset.split == "validation", "train", dataset.split).astype(object))
    part = _following(given, group_ids(given))
    part[part == ""] = "train"
    return replace(given, split=part, notes=given.notes + _leaks(given))


def small_classes(dataset: Dataset, need: int) -> dict[str, int]:
    """Classes that fewer than `need` groups hold, with how many do; classes without an image are not among them."""
    return _groups_a_class(dataset, np.ones(len(dataset), dtype=bool), group_ids(dataset), need)


def refuse_one_class(dataset: Dataset) -> None:
    """DataError where there is nothing to tell apart."""
    if not len(dataset):
        raise DataError("there are no images", where=str(dataset.root), do="add images")
    one_sided = dataset.task == "single" and len(np.unique(dataset.targets)) < 2
    if one_sided or (dataset.task == "multi" and (dataset.targets == dataset.targets[0]).all()):
        names = shown([*dataset.classes]) or "none"
        what = f"all {len(dataset):,} images have the same label ({names}), so there is nothing to learn"
        raise DataError(what, where=str(dataset.root), do="add a folder (or rows) of a second class")


def _check_shares(shares: tuple[float, float, float]) -> None:
    if len(shares) != 3 or min(shares) < 0 or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
        what = (
            "the shares of train, validation and test must be three numbers from 0 to 1 that sum to 1, train above 0"
        )
        raise UsageError(what, where=f"split = {','.join(f'{s:g}' for s in shares)}", do="for example 0.7,0.15,0.15")


def _following(dataset: Dataset, ids: NDArray[np.int64]) -> NDArray[np.object_]:
    """The parts, a row without one being where its group is; training first, as what is given there stays there."""
    part = dataset.split.copy()
    for name in ("train", "validation", "test"):
        part[(part == "") & np.isin(ids, ids[dataset.split == name])] = name
    return part


def _small(
    dataset: Dataset, rows: NDArray[np.bool_], ids: NDArray[np.int64], need: int, asked: bool
) -> dict[str, int]:
    small = _groups_a_class(dataset, rows, ids, need)
    if small and asked:
        names = shown([f"{name} ({count})" for name, count in small.items()], 10)
        what = f"too few images for {need} parts, each of which must have one of every class: {names}"
        do = f"add images until each class has {need} (copies and groups count once), or ask for fewer parts"
        raise DataError(what, where=str(dataset.root), do=do)
    return small


def _groups_a_class(dataset: Dataset, rows: NDArray[np.bool_], ids: NDArray[np.int64], need: int) -> dict[str, int]:
    chosen, chosen_ids = dataset.targets[rows], ids[rows]
    image, label = (np.arange(len(chosen)), chosen) if dataset.task == "single" else (chosen == 1).nonzero()
    held = np.unique(np.stack([label, chosen_ids[image]]), axis=1)[0]  # each pair of label and group once
    counts = np.bincount(held, minlength=len(dataset.classes)).tolist()
    return {name: count for name, count in zip(dataset.classes, counts) if 0 < count < need}


def _has_any(dataset: Dataset, names: dict[str, int]) -> NDArray[np.bool_]:
    wanted = [at for at, name in enumerate(dataset.classes) if name in names]
    single = dataset.task == "single"
    return np.asarray(
        np.isin(dataset.targets, wanted) if single else (dataset.targets[:, wanted] == 1).any(axis=1), dtype=bool
    )


def _share_out(
    dataset: Dataset,
    rows: NDArray[np.bool_],
    ids: NDArray[np.int64],
    shares: Sequence[float],
    fixed: NDArray[np.int64],
    seed: int,
    *,
    every_part: bool,
) -> NDArray[np.int64]:
    """The part of each chosen row; groups stand in the order of their content, so that rows may come in any."""
    chosen = np.flatnonzero(rows)
    key: dict[int, str] = {}
    for row in chosen:
        group = int(ids[row])
        key[group] = min(key.get(group, dataset.content[row]), dataset.content[row])
    number = {group: at for at, group in enumerate(sorted(key, key=lambda group: key[group]))}
    counts: list[dict[int, int]] = [{} for _ in number]
    sizes, fixed_part = [0] * len(number), np.full(len(number), -1, dtype=np.int64)
    none = len(dataset.classes)
    for row in chosen:
        at = number[int(ids[row])]
        one = dataset.task == "single"
        labels = [int(dataset.targets[row])] if one else np.flatnonzero(dataset.targets[row] == 1).tolist()
        for label in labels or [none]:
            counts[at][label] = counts[at].get(label, 0) + 1
        sizes[at] += 1
        fixed_part[at] = fixed[row]
    groups = Groups(counts=counts, sizes=sizes, labels=none + 1)
    part = share_out(groups, shares, fixed_part, seed=seed, every_part=every_part)
    return part[[number[int(ids[row])] for row in chosen]]


def _told(receivers: list[str], small: dict[str, int], from_blank: bool, given: set[str]) -> tuple[str, ...]:
    drawn = " and ".join(receivers[1:])
    notes = (
        []
        if from_blank and not given
        else [f"{drawn} was drawn from {'rows without a split' if from_blank else 'train'}"]
    )
    if small:
        names = shown([f"{name} ({count})" for name, count in small.items()], 10)
        notes.append(f"too few images to hold any out, so these classes are in training only: {names}")
    return tuple(notes)


def _leaks(dataset: Dataset) -> tuple[str, ...]:
    notes = []
    for one, other in combinations(SPLITS, 2):
        ours, theirs = dataset.part(one), dataset.part(other)
        known = set(ours.content)  # np.isin compares objects each with each
        same = sum(content in known for content in theirs.content)
        both = (set(ours.group) & set(theirs.group)) - {""}
        if same:
            notes.append(
                f"{same:,} images of {other} are byte-identical to images of {one}, as given: its figures flatter"
            )
        if both:
            notes.append(f"{len(both):,} groups stand in {one} and in {other}, as given: {shown(sorted(both))}")
    return tuple(notes)
