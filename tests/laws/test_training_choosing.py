"""What a recipe becomes for the data at hand, before any image is decoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import makers_training as make
from fieldmark.errors import UsageError
from fieldmark.training.choosing import choose
from fieldmark.training.recipe import Recipe


def chosen(tmp_path, model="hog", **recipe):
    data = make.table(tmp_path, np.arange(60) % 3)  # of 16 px
    return choose(Recipe(model=model, **recipe), data)


@pytest.mark.parametrize(("model", "weights", "size_px"), [("resnet18", "none", 16), ("resnet18", "some.pth", 224)])
def test_small_images_are_enlarged_for_pretrained_weights_alone_and_it_is_said(tmp_path, model, weights, size_px):
    made = chosen(tmp_path, model=model, weights=weights)
    assert made.geometry.size_px == size_px
    assert any("enlarged" in reason for reason in made.reasons) == (size_px == 224)


@pytest.mark.parametrize(
    ("long", "asked", "fit"),
    [(8, "auto", "squash"), (2, "auto", "crop"), (8, "crop", "crop"), (2, "pad", "pad")],
)
def test_where_a_square_would_lose_half_of_many_images_all_of_each_is_shown(tmp_path, long, asked, fit):
    data = make.table(tmp_path, np.arange(60) % 3)
    sizes = np.full((60, 2), 256, np.int32)
    sizes[:long, 1] = 600
    made = choose(Recipe(model="resnet18", weights="some.pth", fit=asked), replace(data, sizes_px=sizes))
    assert made.geometry.fit == fit and (made.geometry.crop_fraction < 1.0) == (fit == "crop")
    assert any("less than half" in reason for reason in made.reasons) == (fit == "squash")


def test_few_images_are_folded_unless_a_split_is_asked(tmp_path):
    assert chosen(tmp_path).folds == 5
    asked = chosen(tmp_path, split="0.6,0.2,0.2")
    assert asked.folds == 0 and asked.shares == (0.6, 0.2, 0.2)


def test_folds_and_a_split_contradict_each_other(tmp_path):
    with pytest.raises(UsageError, match="no shares to set"):
        chosen(tmp_path, folds=3, split="0.6,0.2,0.2")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"suspects": "drop"}, "no effect"),
        ({"noisy": "yes", "suspects": "down-weight", "method": "probe"}, "counts all images alike"),
        ({"noisy": "yes", "suspects": "drop", "folds": 3}, "never dropped"),
        ({"model": "lenet", "remedy": "small-loss"}, "which share"),
        ({"model": "lenet", "remedy": "posterior"}, "which share"),
        ({"model": "lenet", "remedy": "posterior", "noise_rate": 0.2, "noisy": "yes"}, "finds out how often"),
        ({"model": "lenet", "remedy": "posterior", "suspects": "drop", "noisy": "yes"}, "one doubt twice"),
        ({"model": "lenet", "noise_rate": 0.2}, "no effect"),
        ({"model": "lenet", "remedy": "early-learning", "noise_rate": 0.2}, "no effect"),
        ({"model": "lenet", "remedy": "early-lerning"}, "unknown remedy"),
        ({"remedy": "early-learning"}, "--remedy would have no effect"),
    ],
    ids=str,
)
def test_settings_about_wrong_labels_take_effect_or_are_refused(tmp_path, settings, words):
    with pytest.raises(UsageError, match=words):
        chosen(tmp_path, **settings)


@pytest.mark.parametrize("settings", [{"noisy": "yes"}, {"remedy": "early-learning"}], ids=str)
def test_wrong_labels_are_a_matter_of_one_label_an_image(tmp_path, settings):
    data = make.table(tmp_path, np.eye(3, dtype=np.uint8)[np.arange(60) % 3], "multi")
    with pytest.raises(UsageError, match="one label"):
        choose(Recipe(model="lenet", **settings), data)


def test_a_remedy_with_its_rate_or_an_estimate_is_welcome(tmp_path):
    chosen(tmp_path, model="lenet", remedy="small-loss", noise_rate=0.2)
    chosen(tmp_path, model="lenet", remedy="small-loss", noisy="yes", suspects="drop")
    chosen(tmp_path, model="lenet", remedy="posterior", noise_rate=0.2)
    chosen(tmp_path, model="lenet", remedy="posterior", noisy="yes")
