"""The contact sheet: what it shows is what the loop gave to the network."""

from __future__ import annotations

import io
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

import makers_training as make
from fieldmark.report.thumbnails import webp
from fieldmark.training import loop
from fieldmark.training.augment import augment
from fieldmark.training.contact_sheet import IMAGES, VIEWS, contact_sheet
from fieldmark.training.loop import fit

MIXED = {"augment": "crop+trivial+erase+mixup+cutmix", "crop_scale": 0.5}
MULTI = {"score": "negative log-loss"}


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("single", {}),
        ("single", MIXED),
        ("single", {"balance": "balanced-sampling"}),
        ("single", {"batch": 10}),  # 64 images: four of them are left out of each epoch
        ("multi", {**MIXED, **MULTI}),
    ],
    ids=str,
)
def test_the_views_are_those_that_the_loop_made(tmp_path, monkeypatch, task, changes):
    given = []

    def watched(pixels, mirrored, plan, generator):
        views, mix = augment(pixels, mirrored, plan, generator)
        given.extend(webp(view) for view in views.numpy())
        return views, mix

    monkeypatch.setattr(loop, "augment", watched)
    plan = msgspec.structs.replace(make.PLAN, epochs=9, **changes)
    job = make.job(tmp_path, task=task)
    fitted = fit(make.network(), job, plan)
    sheet = contact_sheet(job, fitted.plan)
    assert sheet is not None and len(sheet.rows) == IMAGES
    views = [view for _, _, row in sheet.rows for view in row]
    assert len(views) == IMAGES * VIEWS
    assert {view.picture for view in views} <= set(given)


def test_a_row_is_an_image_with_its_own_label_and_classes_take_turns(tmp_path):
    job = make.job(tmp_path)
    sheet = contact_sheet(job, make.PLAN)
    assert sheet is not None
    assert {plain.target for _, plain, _ in sheet.rows} == {((name, 1.0),) for name in job.data.classes}
    for file, plain, _ in sheet.rows:
        row = int(file)
        assert row in job.train and plain.picture == webp(job.pixels[row])
        assert plain.target == ((job.data.classes[job.data.targets[row]], 1.0),)


def test_a_mixed_view_says_what_it_was_called(tmp_path):
    plan = msgspec.structs.replace(make.PLAN, augment="mixup")
    sheet = contact_sheet(make.job(tmp_path), plan)
    assert sheet is not None
    targets = [view.target for _, _, views in sheet.rows for view in views]
    assert all(sum(share for _, share in target) == pytest.approx(1.0) for target in targets)
    assert any(len(target) == 2 for target in targets)
    assert sheet.made_by[0][0] == "mixup"


def test_nothing_to_show_where_nothing_is_varied(tmp_path):
    assert contact_sheet(make.job(tmp_path), msgspec.structs.replace(make.PLAN, augment="none")) is None


def test_fewer_images_than_rows_and_a_single_batch(tmp_path):
    job = make.job(tmp_path, images=6)
    sheet = contact_sheet(replace(job, train=job.train[:2]), make.PLAN)
    assert sheet is not None and len(sheet.rows) == 2


def test_drawing_the_sheet_leaves_random_numbers_alone(tmp_path):
    before = torch.get_rng_state()
    first = contact_sheet(make.job(tmp_path), make.PLAN)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == contact_sheet(make.job(tmp_path), make.PLAN)
    assert first is not None
    picture = Image.open(io.BytesIO(first.rows[0][1].picture))
    assert np.asarray(picture).shape == (make.SIDE_PX, make.SIDE_PX, 3)
