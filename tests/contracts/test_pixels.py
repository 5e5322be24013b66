"""What every source of pixels promises, and that training cannot tell one from another."""

from __future__ import annotations

from dataclasses import astuple

import msgspec
import numpy as np
import pytest

import makers_pixels
import makers_training as make
from fieldmark.data.geometry import Geometry
from fieldmark.training.batches import Batches
from fieldmark.training.cache import cache_pixels
from fieldmark.training.loop import fit
from fieldmark.training.pixels import in_batches

GEOMETRY = Geometry(size_px=make.SIDE_PX)
IMAGES = 96
# 96 images of 16 px are 74 KB, beside lists of 36 KB.
SIZES = {"kept": "1GB", "partly": "70KB", "streamed": "0"}
sources = pytest.mark.parametrize("kind", ["array", *SIZES])


@pytest.fixture
def source(tmp_path, monkeypatch, kind):
    """The squares of `makers_training.job`."""
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fieldmark.training.cache_folder.KEPT_FREE", 0)
    monkeypatch.setattr("fieldmark.training.keeping.BLOCK_BYTES", 20_000)
    if kind == "array":
        return make.squares(IMAGES)[0]
    pixels = cache_pixels(makers_pixels.pictures(tmp_path / "data", IMAGES), GEOMETRY, size=SIZES[kind]).pixels
    not_kept = int((pixels.block < 0).sum())
    assert {"kept": not_kept == 0, "partly": 0 < not_kept < IMAGES, "streamed": not_kept == IMAGES}[kind]
    return pixels


@sources
def test_rows_are_new_arrays_in_the_order_asked(source):
    expected = make.squares(IMAGES)[0]
    for rows in (np.arange(IMAGES), np.arange(IMAGES)[::-7], np.array([5, 5, 90]), np.empty(0, np.int64)):
        got = source[rows]
        assert got.dtype == np.uint8 and got.flags.writeable and np.array_equal(got, expected[rows])
        got[:] = 0
        assert np.array_equal(source[rows], expected[rows])
    assert len(source) == IMAGES


@sources
def test_in_batches_is_every_row_once_with_its_pixels(source):
    rows = np.random.default_rng(1).permutation(IMAGES)
    runs = list(in_batches(source, rows, 25))
    assert [len(some) for some, _ in runs] == [25, 25, 25, 21]
    assert np.array_equal(np.concatenate([some for some, _ in runs]), rows)
    assert all(np.array_equal(pixels, source[some]) for some, pixels in runs)


@sources
def test_training_gives_the_same_weights(source, tmp_path):
    plan = msgspec.structs.replace(make.PLAN, crop_scale=0.5, epochs=2)
    weights = []
    for name, pixels in (("array", make.squares(IMAGES)[0]), ("source", source)):
        (tmp_path / name).mkdir()
        network = make.network()
        fitted = fit(network, make.job(tmp_path / name, pixels=pixels), plan)
        weights.append((make.weights(network), [epoch.validation_loss for epoch in fitted.epochs]))
    assert weights[0] == weights[1]


@sources
def test_any_step_may_be_asked_for(source, tmp_path):
    job = make.job(tmp_path, pixels=source)
    forwards, backwards = Batches(job, make.PLAN), Batches(job, make.PLAN)
    steps = range(2 * forwards.per_epoch + 1)
    expected = {step: forwards.at(step) for step in steps}
    for step in reversed(steps):
        assert all((one == other).all() for one, other in zip(astuple(backwards.at(step)), astuple(expected[step])))
    forwards.close()
    backwards.close()


@pytest.mark.parametrize("kind", SIZES)
def test_a_map_that_is_used_outlives_its_file(source, tmp_path, kind):
    before = source[np.arange(IMAGES)]
    for file in makers_pixels.blocks(tmp_path / "cache"):
        file.unlink()
    assert np.array_equal(source[np.arange(IMAGES)], before)
