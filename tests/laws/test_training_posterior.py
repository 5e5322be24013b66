"""The true class as label, noise and earlier answers make it probable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fieldmark.measures.label_noise import transition
from fieldmark.training.remedies import OWN_LABEL, held_apart, posterior

SHARES = st.floats(0.0, 1.0, width=32)


@st.composite
def cases(draw):
    """A transition as an estimate hands it on, labels, and what is remembered: of some images nothing yet."""
    classes, images = draw(st.integers(2, 6)), draw(st.integers(1, 8))
    joint = draw(arrays(np.int64, (classes, classes), elements=st.integers(0, 50)))
    labels = draw(arrays(np.int64, images, elements=st.integers(0, classes - 1)))
    answers = draw(arrays(np.float32, (images, classes), elements=SHARES))
    heard = draw(arrays(np.float32, (images, 1), elements=SHARES))
    remembered = heard * answers / np.maximum(answers.sum(axis=1, keepdims=True), 1e-6)
    return held_apart(transition(joint)), torch.from_numpy(labels), torch.from_numpy(remembered)


def tensor(mixed):
    return torch.from_numpy(mixed).float()


@given(cases())
def test_rows_are_probabilities_and_no_class_is_possible_that_never_gets_the_label(case):
    mixed, labels, remembered = case
    likelihood = tensor(mixed)[labels]
    target = posterior(likelihood, remembered)
    known = ((remembered + (1 - remembered.sum(1, keepdim=True)).clamp_min(0)) * likelihood).sum(1) > 1e-6
    assert (target >= 0).all() and torch.isfinite(target).all()
    assert target.sum(1)[known] == pytest.approx(np.ones(int(known.sum())), abs=1e-4)
    assert not target[likelihood == 0].any()


@given(cases())
def test_without_noise_it_is_the_label(case):
    mixed, labels, remembered = case
    said = remembered / 2  # the rest is even, so that no label is impossible
    target = posterior(torch.eye(len(mixed))[labels], said)
    assert torch.equal(target, torch.eye(len(mixed))[labels])


@given(cases())
def test_where_nothing_is_remembered_or_all_is_even_it_is_what_the_label_tells(case):
    mixed, labels, remembered = case
    tells = tensor(mixed)[labels]
    tells = tells / tells.sum(1, keepdim=True)
    for share in (0.0, 0.5, 1.0):
        even = torch.full_like(remembered, share / len(mixed))
        assert torch.allclose(posterior(tensor(mixed)[labels], even), tells, atol=1e-5)


@given(cases())
def test_no_class_loses_its_own_label_and_columns_stay_probabilities(case):
    mixed, _, _ = case
    off = (mixed * (1 - np.eye(len(mixed)))).max(axis=0)
    assert mixed.sum(axis=0) == pytest.approx(np.ones(len(mixed)))
    assert (np.diag(mixed) >= OWN_LABEL * off - 1e-9).all()
    assert held_apart(mixed) == pytest.approx(mixed)
