"""What a recipe becomes for the data at hand, before any image is decoded."""

from __future__ import annotations

import numpy as np
import pytest

import makers_training as make
from fieldmark.errors import UsageError
from fieldmark.training.choosing import choose
from fieldmark.training.recipe import Recipe


def chosen(tmp_path, **recipe):
    data = make.table(tmp_path, np.arange(60) % 3)
    return choose(Recipe(model="hog", **recipe), data)


def test_few_images_are_folded_unless_a_split_is_asked(tmp_path):
    assert chosen(tmp_path).folds == 5
    asked = chosen(tmp_path, split="0.6,0.2,0.2")
    assert asked.folds == 0 and asked.shares == (0.6, 0.2, 0.2)


def test_folds_and_a_split_contradict_each_other(tmp_path):
    with pytest.raises(UsageError, match="no shares to set"):
        chosen(tmp_path, folds=3, split="0.6,0.2,0.2")
