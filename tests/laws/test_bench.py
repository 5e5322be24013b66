"""Where the time goes: medians with their spread, the steps of one image, what a process costs."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fieldmark.errors import DataError, Interrupted
from fieldmark.inference.bench import latency, rates, sample_of, spread
from fieldmark.inference.classifier import Classifier, load
from fieldmark.inference.execution import Execution
from fieldmark.inference.fresh_process import predict_afresh
from makers_bundle import pictures, write_bundle


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    path = write_bundle(tmp_path_factory.mktemp("bundles") / "tiny.fieldmark")
    return load(path, execution=Execution(runner="onnxruntime", threads=1, workers=2, batch=3))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(pictures(4, 40)):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    (folder / "9.png").write_text("no picture")
    return sorted(folder.iterdir())


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=9))
def test_a_spread_holds_its_median(figures):
    found = spread(figures)
    assert found.low <= found.median <= found.high and found.n == len(figures)
    assert sum(each <= found.median for each in figures) * 2 >= len(figures)


def test_the_sample_is_what_can_be_read(classifier, photos, tmp_path):
    found = sample_of(iter([tmp_path / "missing.png", *photos]), classifier)
    assert list(found) == photos[:4] and found[photos[0]] == photos[0].read_bytes()
    assert len(sample_of(repeat(photos[0]), classifier)) == 1
    with pytest.raises(DataError, match="none of these"):
        sample_of(iter(photos[4:]), classifier)


def test_every_stage_is_timed_in_as_many_rounds(classifier, photos):
    found = rates(classifier, sample_of(iter(photos), classifier), seconds=0.0)
    for stage in (found.decode, found.decode_and_geometry, found.inference, found.together):
        assert 0 < stage.low <= stage.median <= stage.high and stage.n == 3


def test_the_steps_of_one_image_are_in_the_whole(classifier, photos):
    found = latency(classifier, [photos[0].read_bytes(), photos[1].read_bytes()], seconds=0.0)
    assert found.n == 10 and 0 < found.p50_ms <= found.p99_ms
    assert min(found.decode_ms, found.geometry_ms, found.runner_ms) > 0


def test_a_fresh_process_says_what_it_held(classifier, photos):
    found = predict_afresh(classifier.bundle.path, photos[:2], "--threads", "1")
    assert found.images == 2 and found.took_s > 0
    assert found.peak_mb is not None and 20 < found.peak_mb < 1000


def test_a_process_that_fails_says_why(tmp_path, photos):
    with pytest.raises(Interrupted, match="ended with 2") as caught:
        predict_afresh(tmp_path / "no.fieldmark", photos)
    assert "there is no such bundle" in caught.value.where and "predict" in caught.value.do
