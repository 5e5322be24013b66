"""Inner folds, and the kernel machine's approximation where it has to be exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge

from fieldmark.heads import nystroem, rbf_svm
from fieldmark.heads.choosing import inner_folds, logits_of
from fieldmark.heads.kernel import median_distance
from makers_heads import hard


@given(
    groups=st.lists(st.integers(0, 20), min_size=1, max_size=60),
    seed=st.integers(0, 5),
    multi=st.booleans(),
)
def test_inner_folds_keep_groups_whole_and_ignore_class_numbers(groups: list[int], seed: int, multi: bool) -> None:
    data = hard("multi" if multi else "single", count=len(groups))
    data = replace(data, group=np.array(groups, dtype=np.int64))
    fold = inner_folds(data, 5, seed)
    assert set(fold) == set(range(min(5, len(set(groups)))))
    assert all(len(set(fold[data.group == group])) == 1 for group in set(groups))
    order = np.array([1, 2, 0])
    turned = data.targets[:, order] if multi else np.argsort(order)[data.targets]
    np.testing.assert_array_equal(inner_folds(replace(data, targets=turned), 5, seed), fold)


def test_inner_folds_spread_each_class() -> None:
    data = hard("single", count=75)
    fold = inner_folds(data, 5, 0)
    shares = [[int(((fold == part) & (data.targets == label)).sum()) for part in range(5)] for label in range(3)]
    assert shares == [[5] * 5] * 3


def test_with_every_row_a_landmark_it_is_kernel_ridge_regression() -> None:
    data, asked = hard("single"), hard("single", seed=5).embedding
    (ours,) = nystroem.path(data, [(1.0, 0.5)], landmarks=len(data.targets), seed=0)
    gamma = 1.0 / median_distance(data.embedding, 0)
    truth = np.eye(3)[data.targets]
    share = truth.mean(axis=0)
    theirs = KernelRidge(alpha=0.5, kernel="rbf", gamma=gamma).fit(data.embedding, truth - share).predict(asked)
    np.testing.assert_allclose(logits_of(ours, asked), 2 * (theirs + share) - 1, atol=2e-3)


def test_reduced_data_are_principal_components(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nystroem, "COMPONENTS", 4)
    data = hard("single")
    small, turn = nystroem.reduced(data, 0)
    theirs = PCA(4).fit_transform(data.embedding)
    spread = np.abs(theirs).mean() / np.abs(small.embedding).mean()
    np.testing.assert_allclose(np.abs(small.embedding[:, ::-1]) * spread, np.abs(theirs), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(logits_of(turn, data.embedding), small.embedding, atol=1e-5)


@pytest.mark.parametrize("task", ["single", "multi"])
def test_large_data_are_approximated_and_it_is_said(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    monkeypatch.setattr(rbf_svm, "_EXACT_ROWS", 100)
    data = hard("multi" if task == "multi" else "single", count=120)
    fitted = rbf_svm.fit(data, seed=0)
    assert "approximated" in fitted.choices[0]
    logits = logits_of(fitted.module, data.embedding)
    right = logits.argmax(axis=1) == data.targets if task == "single" else (logits > 0) == (data.targets > 0)
    assert right.mean() > 0.7
    again = rbf_svm.fit(data, seed=0, settings=fitted.settings)
    np.testing.assert_array_equal(logits_of(again.module, data.embedding), logits)
