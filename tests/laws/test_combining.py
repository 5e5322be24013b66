"""What putting classifiers together rests on, as laws of plain arrays."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import makers_bundle as make
import makers_data
import makers_measures
from fieldmark.bundle.schema import Decision, Manifest
from fieldmark.combining.cascade import ALWAYS, Cascade, least_threshold
from fieldmark.combining.ensemble import Ensemble, fit, fit_weights
from fieldmark.combining.held_out import held_out, parts_when_made
from fieldmark.combining.joint import joint_geometry
from fieldmark.combining.proving import as_logits
from fieldmark.combining.row import Evidence
from fieldmark.data.fingerprint import fingerprint
from fieldmark.data.geometry import Geometry, apply, resampling
from fieldmark.data.splits import parted_for_folds, split
from fieldmark.errors import DataError, UsageError
from fieldmark.inference.deciding import probabilities
from fieldmark.measures.outcomes import outcomes
from fieldmark.measures.paired import difference
from fieldmark.measures.table import MEASURES

odds = arrays(np.float64, (3, 5, 4), elements=st.floats(0.01, 1.0))


def shares(of: np.ndarray) -> np.ndarray:
    return of / of.sum(axis=-1, keepdims=True)


@given(odds, st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3))
def test_a_mean_of_probabilities_is_one_and_lies_between(of, weights):
    said, weights = shares(of), tuple(shares(np.array(weights)))
    mean = Ensemble(weights=weights).probabilities(said)
    np.testing.assert_allclose(mean.sum(axis=1), 1.0)
    assert (mean >= said.min(axis=0) - 1e-12).all() and (mean <= said.max(axis=0) + 1e-12).all()
    turned = Ensemble(weights=weights[::-1]).probabilities(said[::-1])
    np.testing.assert_allclose(mean, turned)


@given(odds)
def test_the_mean_is_never_more_surprised_than_the_members_on_average(of):
    """Log-loss is convex (Jensen): why an ensemble helps at all."""
    said = shares(of)
    mean = Ensemble(weights=(1 / 3, 1 / 3, 1 / 3)).probabilities(said)
    assert (-np.log(mean) <= -np.log(said).mean(axis=0) + 1e-9).all()


@given(odds)
def test_logits_give_the_probabilities_back(of):
    said = shares(of)[0]
    np.testing.assert_allclose(probabilities(as_logits(said, "single"), Decision(), "single"), said, rtol=1e-9)
    np.testing.assert_allclose(probabilities(as_logits(said, "multi"), Decision(), "multi"), said, rtol=1e-9)


def test_logits_of_certainty_are_numbers():
    for task in ("single", "multi"):
        assert np.isfinite(as_logits(np.array([[0.0, 1.0]]), task)).all()


@given(arrays(np.float64, (2, 12, 1), elements=st.floats(0.01, 1.0)))
def test_fitted_weights_are_shares_and_no_worse_than_equal_ones(true):
    weights = fit_weights(true, np.ones(12))
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()
    fitted, equal = np.tensordot(weights, true, axes=1), true.mean(axis=0)
    assert np.log(fitted).sum() >= np.log(equal).sum() - 1e-9


def evidence(said: np.ndarray, targets: np.ndarray) -> Evidence:
    return Evidence(
        names=("a", "b"),
        said=said,
        targets=targets,
        weights=np.ones(len(targets)),
        data=makers_data.table(targets),
        within=0.005,
    )


def test_weights_are_equal_unless_others_are_surely_better():
    random = np.random.default_rng(0)
    targets = np.arange(400) % 4
    good = makers_measures.random_outcomes("single", n=400, classes=4, skill=3.0).probabilities
    alike = makers_measures.random_outcomes("single", n=400, classes=4, skill=3.0, seed=1).probabilities
    noise = shares(random.random((400, 4)) + 0.01)
    rule, (why,) = fit(evidence(np.stack([good, alike]), targets))
    assert rule.weights == (0.5, 0.5) and why.startswith("weights = equal") and "400 validation" in why
    rule, (why,) = fit(evidence(np.stack([good, noise]), targets))
    assert rule.weights[0] > 0.9 and why.startswith("weights = fitted")
    rule, (why,) = fit(evidence(np.stack([good, noise])[:, :40], targets[:40]))
    assert rule.weights == (0.5, 0.5) and "too few" in why


confidence = arrays(np.float64, 30, elements=st.integers(1, 20).map(lambda n: n / 20))
hits = arrays(np.float64, 30, elements=st.sampled_from([0.0, 1.0]))


@given(confidence, hits, hits, st.sampled_from([0.0, 0.05, 0.2]))
def test_a_threshold_keeps_its_promise_and_is_the_lowest_that_does_from_there_on(sure, small, large, within):
    threshold = least_threshold(sure, small, large, within=within)

    def lost(at: float) -> float:
        return float((large.sum() - np.where(sure < at, large, small).sum()) / 30)

    cuts = [0.0, *((np.unique(sure)[1:] + np.unique(sure)[:-1]) / 2), ALWAYS]
    keeps = [all(lost(higher) <= within + 1e-9 for higher in cuts[at:]) for at in range(len(cuts))]
    assert threshold == pytest.approx(cuts[keeps.index(True)])


@given(odds, st.floats(0.2, 1.0))
def test_a_cascade_asks_for_the_unsure_alone(of, threshold):
    said, rule = shares(of)[:2], Cascade(threshold=threshold)
    needed, mixed = rule.needed(said), rule.probabilities(said)
    assert needed[0].all()
    assert (needed[1] == (said[0].max(axis=1) < threshold)).all()
    np.testing.assert_array_equal(mixed[needed[1]], said[1][needed[1]])
    np.testing.assert_array_equal(mixed[~needed[1]], said[0][~needed[1]])
    moved = said.copy()
    moved[1][~needed[1]] = 0.25
    np.testing.assert_array_equal(rule.probabilities(moved), mixed)


sizes = st.integers(8, 64)
fractions = st.sampled_from([0.7, 0.875, 0.95, 1.0])


@given(st.lists(st.tuples(sizes, fractions), min_size=2, max_size=4))
def test_every_member_gets_as_many_pixels_as_it_was_made_for(made):
    geometries = [Geometry(size_px=size, crop_fraction=fraction) for size, fraction in made]
    whole, inner, _ = joint_geometry([*"abcd"[: len(made)]], geometries)
    for own, within in zip(geometries, inner):
        assert within.size_px == own.size_px
        assert whole.size_px * within.crop_fraction >= own.size_px - 1e-6
        assert within.crop_fraction * whole.crop_fraction == pytest.approx(own.crop_fraction)
    assert joint_geometry(["a", "b"], [geometries[0]] * 2)[0] == geometries[0]


def test_geometries_that_show_other_parts_of_a_picture_are_refused():
    crop, pad = Geometry(size_px=16), Geometry(size_px=16, fit="pad")
    for other in (pad, Geometry(size_px=16, fit="squash")):
        with pytest.raises(UsageError, match="different ways"):
            joint_geometry(["a", "b"], [crop, other])
    with pytest.raises(UsageError, match="different ways"):
        joint_geometry(["a", "b"], [pad, Geometry(size_px=16, fit="pad", pad_value=127)])


@given(sizes, st.integers(8, 40), fractions, st.sampled_from(["box", "bilinear", "bicubic", "lanczos"]))
def test_resampling_is_what_pillow_does(side, size, fraction, filter):
    geometry = Geometry(size_px=size, crop_fraction=fraction, filter=filter)
    image = make.pictures(1, side)[0]
    weights = resampling(geometry, side)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    across = np.clip(np.floor(np.einsum("sx,yxc->ysc", weights, image.astype(np.float64)) + 0.5), 0, 255)
    down = np.clip(np.floor(np.einsum("sy,yxc->sxc", weights, across) + 0.5), 0, 255)
    assert np.abs(down - apply(image, geometry)).max() <= 1


def test_a_paired_difference_is_of_the_same_images():
    ours = makers_measures.random_outcomes("single", n=300, skill=2.0)
    theirs = outcomes(
        ours.targets, makers_measures.random_outcomes("single", n=300, seed=3).probabilities, task="single"
    )
    better = difference(MEASURES["accuracy"], ours, theirs)
    hits = [(of.answers == of.targets).mean() for of in (ours, theirs)]
    assert better.value == pytest.approx(hits[0] - hits[1]) and better.low <= better.value <= better.high
    worse = difference(MEASURES["accuracy"], theirs, ours)
    assert (worse.value, worse.low, worse.high) == pytest.approx((-better.value, -better.high, -better.low))
    same = difference(MEASURES["accuracy"], ours, ours)
    assert (same.low, same.value, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="same images"):
        difference(MEASURES["accuracy"], ours, makers_measures.random_outcomes("single", n=301))


def trained_on(data, name: str, seed: int, **recipe: object) -> Manifest:
    """The manifest of a bundle that was trained on `data`, divided with `seed`."""
    settings = {"seed": seed, "split": "0.7,0.15,0.15", "folds": 0, **recipe}
    divided = parted_for_folds(data) if settings["folds"] else split(data, seed=seed, asked=False)
    described = msgspec.structs.replace(make.manifest().data, fingerprint=fingerprint(divided), split="random")
    return make.manifest(name=name, recipe=settings, data=described)


def test_only_images_that_no_member_learnt_from_judge():
    data = makers_data.table(np.arange(400) % 3)
    one, other = (trained_on(data, name, seed) for name, seed in (("one", 0), ("other", 1)))
    same = held_out(data, [one, one])
    assert fingerprint(same.data) == one.data.fingerprint and same.notes == ()
    assert same.settings == {"seed": 0, "split": "0.7,0.15,0.15", "folds": 0}
    both = held_out(data, [one, other])
    first, second = parts_when_made(one, data), parts_when_made(other, data)
    kept = both.data.split
    assert ((kept == "train") == ((first == "train") | (second == "train"))).all()
    assert ((kept == "test") == ((first == "test") & (second == "test"))).all()
    assert 0 < (kept == "test").sum() < 60 and (kept == "validation").any()
    assert both.settings == {}
    unknown = held_out(data, [one, make.manifest(name="stranger")])
    assert (unknown.data.split == first).all() and "stranger" in unknown.notes[0]
    strangers = held_out(data, [make.manifest(name="stranger")] * 2)
    assert len(strangers.notes) == 2 and set(strangers.data.split) == {"train", "validation", "test"}


def test_a_bundle_of_folds_learnt_from_all_but_the_test_part():
    targets = np.arange(100) % 3
    data = makers_data.table(targets, split=["test"] * 20 + [""] * 80)
    member = trained_on(data, "folded", 0, folds=5)
    assert (parts_when_made(member, data) == np.where(data.split == "test", "test", "train")).all()
    with pytest.raises(DataError, match="to fit them together by"):
        held_out(data, [member, member])


def test_other_labels_are_other_data():
    data = makers_data.table(np.arange(90) % 3)
    member = trained_on(data, "one", 0)
    assert parts_when_made(member, makers_data.table((np.arange(90) + 1) % 3)) is None
    assert parts_when_made(member, makers_data.table(np.arange(90) % 3, split="test")) is None
