"""Laws of splits and folds: stratified, no group on two sides, the same for the same seed, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fieldmark.data.dataset import SPLITS, Dataset
from fieldmark.data.fingerprint import fingerprint
from fieldmark.data.groups import group_ids
from fieldmark.data.splits import folds, parted_for_folds, small_classes, split
from fieldmark.errors import DataError, UsageError
from makers_data import table

class_sizes = st.lists(st.integers(3, 60), min_size=2, max_size=6)
all_shares = st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33)])


@settings(max_examples=60, deadline=None)
@given(sizes=class_sizes, shares=all_shares, seed=st.integers(0, 9))
def test_single_images_are_shared_to_within_one_of_every_class(
    sizes: list[int], shares: tuple[float, float, float], seed: int
) -> None:
    made = split(table(np.repeat(range(len(sizes)), sizes)), shares, seed=seed, asked=True)
    assert set(made.split) <= set(SPLITS)
    for at, size in enumerate(sizes):
        for name, share in list(zip(SPLITS, shares))[1:]:
            count = int((made.part(name).targets == at).sum())
            assert count >= 1
            assert abs(count - max(1.0, share * size)) <= 1


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(12, 90), seed=st.integers(0, 5), multi=st.booleans())
def test_no_group_and_no_copy_stands_on_two_sides(data: st.DataObject, count: int, seed: int, multi: bool) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    targets = rng.integers(0, 2, (count, 4)) if multi else rng.integers(0, 3, count)
    group = [f"g{n}" if n < 12 else "" for n in rng.integers(0, 24, count)]
    content = [f"c{n}" for n in rng.integers(0, count * 2, count)]
    dataset = table(targets, group=group, content=content, classes=tuple("abcd" if multi else "abc"))
    ids = group_ids(dataset)
    try:
        made, fold = split(dataset, seed=seed, asked=False), folds(dataset, 4, seed=seed, asked=False)
    except DataError:
        assume(False)
    for column in (made.split, fold):
        for values in (dataset.group, dataset.content, ids):
            sides: dict[object, set[object]] = {}
            for value, side in zip(values, column):
                sides.setdefault(value, set()).add(side)
            assert all(len(of) == 1 for value, of in sides.items() if value != "")
    assert set(made.split) <= set(SPLITS)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 5), shuffle=st.integers(0, 1000), multi=st.booleans())
def test_the_order_of_rows_does_not_matter_and_the_seed_does(seed: int, shuffle: int, multi: bool) -> None:
    rng = np.random.default_rng(shuffle)
    targets = (rng.random((60, 3)) < 0.4) if multi else np.arange(60) % 3
    dataset = table(targets, group=[f"g{n}" if n < 5 else "" for n in rng.integers(0, 20, 60)])
    order = rng.permutation(60)
    made, again = split(dataset, seed=seed, asked=False), split(dataset.rows(order), seed=seed, asked=False)
    np.testing.assert_array_equal(made.split[order], again.split)
    np.testing.assert_array_equal(
        folds(dataset, 3, seed=seed, asked=False)[order], folds(dataset.rows(order), 3, seed=seed, asked=False)
    )
    assert fingerprint(made) == fingerprint(again)
    other = split(dataset, seed=seed + 1, asked=False)
    assert list(other.split) != list(made.split)


def test_groups_are_shared_near_what_was_asked() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(range(255), 6)[:1500]
    targets = np.minimum(rng.geometric(0.5, 255) - 1, 4)[group]
    made = split(table(targets, group=[f"tile {n}" for n in group]), seed=0, asked=False)
    for name, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert abs(len(made.part(name)) / 1500 - share) < 0.01
        for at in range(5):
            of_class = (made.part(name).targets == at).sum() / (targets == at).sum()
            assert abs(of_class - share) < 0.08


def test_multi_label_shares_are_near() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((600, 8)) < np.linspace(0.02, 0.6, 8)
    made = split(table(targets), seed=0, asked=True)
    for at in range(8):
        held = made.part("test").targets[:, at].sum()
        assert abs(held - 0.15 * targets[:, at].sum()) <= 2


def test_missing_parts_come_out_of_training_and_given_rows_stay() -> None:
    dataset = table(np.arange(120) % 3, split=["train"] * 90 + ["test"] * 30)
    made = split(dataset, seed=0, asked=False)
    assert set(made.split[90:]) == {"test"}
    assert 14 <= (made.split[:90] == "validation").sum() <= 18  # 15 / 85 of 90
    assert any("validation was drawn from train" in note for note in made.notes)
    whole = table(np.arange(9) % 3, split=["train", "validation", "test"] * 3)
    assert list(split(whole, seed=0, asked=False).split) == list(whole.split)


def test_rows_without_a_part_fill_what_nobody_was_given() -> None:
    dataset = table(np.arange(120) % 3, split=["test"] * 30 + [""] * 90)
    made = split(dataset, seed=0, asked=False)
    assert set(made.split[30:]) == {"train", "validation"}
    copies = table(np.arange(6) % 2, split=["test", "test", "", "", "", ""], content=["a", "b", "a", "c", "d", "e"])
    assert split(copies, (0.8, 0.0, 0.2), seed=0, asked=False).split[2] == "test"


def test_beside_folds_a_copy_of_a_test_image_is_not_learnt_from() -> None:
    copies = table(np.arange(6) % 2, split=["test", "validation", "", "train", "test", ""], content=[*"abaffc"])
    made = parted_for_folds(copies)
    assert list(made.split) == ["test", "train", "test", "train", "test", "train"]
    assert any("1 images of test are byte-identical to images of train" in note for note in made.notes)


def test_copies_across_given_parts_stay_and_are_said() -> None:
    content = ["same"] + [f"c{n}" for n in range(10)] + ["same"]
    dataset = table(np.arange(12) % 2, split=["train"] * 6 + ["validation"] * 3 + ["test"] * 3, content=content)
    made = split(dataset, seed=0, asked=False)
    assert list(made.split) == list(dataset.split)
    assert any("1 images of test are byte-identical to images of train" in note for note in made.notes)


def test_a_small_class_stays_in_training_or_is_refused_where_the_split_was_asked_for() -> None:
    dataset = table([0] * 20 + [1] * 20 + [2] * 2)
    made = split(dataset, seed=0, asked=False)
    assert set(made.split[40:]) == {"train"}
    assert any("class 2 (2)" in note for note in made.notes)
    with pytest.raises(DataError, match=r"too few images for 3 parts.*class 2 \(2\)"):
        split(dataset, seed=0, asked=True)
    copies = table([0] * 20 + [1] * 20 + [2] * 9, content=[f"c{n}" for n in range(40)] + ["one"] * 9)
    assert small_classes(copies, 3) == {"class 2": 1}


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(5, 30), min_size=2, max_size=5), k=st.integers(2, 5), seed=st.integers(0, 3))
def test_folds_hold_each_class_evenly(sizes: list[int], k: int, seed: int) -> None:
    fold = folds(table(np.repeat(range(len(sizes)), sizes)), k, seed=seed, asked=True)
    assert set(fold) == set(range(k))
    for at, size in enumerate(sizes):
        counts = np.bincount(fold[np.repeat(range(len(sizes)), sizes) == at], minlength=k)
        assert counts.max() - counts.min() <= 1
        assert counts.sum() == size


def test_folds_say_what_cannot_be_held_out() -> None:
    dataset = table([0] * 10 + [1] * 10 + [2])
    fold = folds(dataset, 5, seed=0, asked=False)
    assert fold[-1] == -1
    assert set(fold[:-1]) == set(range(5))
    with pytest.raises(DataError, match="too few images for 5 parts"):
        folds(dataset, 5, seed=0, asked=True)
    assert folds(table([0, 0, 1, 1]), 10, seed=0, asked=False).max() < 4
    with pytest.raises(DataError):
        folds(table([0, 1]), 2, seed=0, asked=False)


@pytest.mark.parametrize("dataset", [table([0] * 9), table([[1], [1], [1]]), table(np.zeros(0))])
def test_nothing_to_tell_apart_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DataError):
        split(dataset, seed=0, asked=False)
    with pytest.raises(DataError):
        folds(dataset, 3, seed=0, asked=False)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        split(table([0, 1]), shares, seed=0, asked=True)


def test_groups_chain_through_copies() -> None:
    dataset = table([0] * 6, group=["a", "a", "b", "", "", "b"], content=["1", "2", "2", "3", "3", "4"])
    assert list(group_ids(dataset)) == [0, 0, 0, 1, 1, 0]


def test_the_fingerprint_sees_labels_split_and_content_but_neither_order_nor_place() -> None:
    dataset = table([0, 1, 0], split=["train", "test", ""])
    same = fingerprint(dataset)
    assert fingerprint(dataset.rows(np.array([2, 0, 1]))) == same
    assert fingerprint(table([0, 1, 1], split=["train", "test", ""])) != same
    assert fingerprint(table([0, 1, 0], split=["train", "test", "test"])) != same
    assert fingerprint(table([0, 1, 0], split=["train", "test", ""], content=["x", "y", "z"])) != same
    assert fingerprint(table([0, 1, 0], split=["train", "test", ""], classes=("a", "b"))) != same


def test_columns_are_read_only() -> None:
    dataset = table([0, 1])
    with pytest.raises(ValueError, match="read-only"):
        dataset.targets[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        split(table(np.arange(20) % 2), seed=0, asked=False).split[0] = "test"
