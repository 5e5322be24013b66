"""What holds for measures whatever the answers are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.data.dataset import UNKNOWN
from fieldmark.measures.estimating import estimate_all, fitting
from fieldmark.measures.intervals import bootstrapped, proportion, resamples, resamples_for
from fieldmark.measures.outcomes import Outcomes, outcomes
from fieldmark.measures.scores import ece_of_a_perfect_model
from fieldmark.measures.table import MEASURES
from fieldmark.measures.weighted import Weighted, once
from makers_measures import degenerate_outcomes, random_outcomes

ANSWERS = st.builds(
    random_outcomes,
    st.sampled_from(["single", "multi"]),
    n=st.integers(8, 40),
    classes=st.integers(2, 7),
    seed=st.integers(0, 10_000),
    skill=st.floats(0, 3),
)
CORNERS = [
    pytest.param(corner, id=f"{task}: {title}")
    for task in ("single", "multi")
    for title, corner in degenerate_outcomes(task).items()
]


def _figures(of: Weighted | Outcomes) -> dict[str, np.ndarray]:
    weighted = of if isinstance(of, Weighted) else once(of)
    rows = fitting(weighted.outcomes.task, weighted.outcomes.classes)
    return {row.name: row.function(weighted)[..., 0] for row in rows}


def _rows(of: Outcomes, order: np.ndarray) -> Outcomes:
    return replace(of, targets=of.targets[order], probabilities=of.probabilities[order], answers=of.answers[order])


def _relabelled(of: Outcomes, order: np.ndarray) -> Outcomes:
    """Class order[i] becomes class i."""
    if of.task == "multi":
        return replace(
            of, targets=of.targets[:, order], probabilities=of.probabilities[:, order], answers=of.answers[:, order]
        )
    became = np.argsort(order)
    return replace(
        of, targets=became[of.targets], probabilities=of.probabilities[:, order], answers=became[of.answers]
    )


def _same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, figure in one.items():
        np.testing.assert_allclose(figure, other[name], rtol=1e-9, atol=1e-12, err_msg=name)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_images_changes_nothing(of, random):
    order = np.array(random.sample(range(len(of)), len(of)))
    _same(_figures(of), _figures(_rows(of, order)))


@given(ANSWERS, st.randoms(use_true_random=False))
def test_relabelling_changes_no_figure_and_permutes_those_of_classes(of, random):
    order = np.array(random.sample(range(of.classes), of.classes))
    before, after = _figures(of), _figures(_relabelled(of, order))
    for name in before:
        assert "order of classes" in MEASURES[name].invariances
        expected = before[name][order] if MEASURES[name].scope == "class" else before[name]
        np.testing.assert_allclose(after[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


@given(ANSWERS)
def test_what_is_said_to_look_at_ranks_looks_at_nothing_else(of):
    before, after = _figures(of), _figures(replace(of, probabilities=of.probabilities**3 / 2))
    ranks = {name for name in before if "monotone change of each class's scores" in MEASURES[name].invariances}
    assert ranks
    _same({name: before[name] for name in ranks}, {name: after[name] for name in ranks})
    assert not np.allclose(before["log_loss"], after["log_loss"])  # the change is one that can be seen


@given(ANSWERS, st.integers(0, 10_000))
def test_an_image_that_counts_twice_is_two_images(of, seed):
    times = np.random.default_rng(seed).integers(0, 3, len(of))
    times[0] = 1
    weighted = Weighted(outcomes=of, times=times[:, None].astype(np.float64))
    _same(_figures(weighted), _figures(_rows(of, np.repeat(np.arange(len(of)), times))))


@given(ANSWERS)
@settings(max_examples=25)
def test_many_resamples_at_once_are_each_of_them(of):
    times = np.concatenate(list(resamples(len(of), 5, seed=3)), axis=1)
    rows = fitting(of.task, of.classes)
    for row in rows:
        together = row.function(Weighted(outcomes=of, times=times))
        alone = [row.function(Weighted(outcomes=of, times=times[:, [b]]))[..., 0] for b in range(5)]
        np.testing.assert_allclose(together, np.stack(alone, axis=-1), rtol=1e-9, atol=1e-12, err_msg=row.name)


@given(ANSWERS)
def test_figures_stay_in_the_range_that_the_row_declares(of):
    for name, figure in _figures(of).items():
        low, high = MEASURES[name].range
        assert np.all((figure >= low) & (figure <= high) | np.isnan(figure)), name


@pytest.mark.parametrize("corner", CORNERS)
def test_answers_of_every_kind_are_estimated_without_a_warning(corner):
    made = estimate_all(corner)
    assert ece_of_a_perfect_model(corner).value is not None
    for estimate in (*made.overall.values(), *(one for each in made.per_class.values() for one in each)):
        assert (estimate.value is None) == bool(estimate.why)
        if estimate.value is not None:
            assert estimate.low <= estimate.value <= estimate.high


def test_better_answers_get_better_figures():
    for task in ("single", "multi"):
        # ECE and ties aside, more skill at the same noise improves every figure.
        worse, better = (_figures(random_outcomes(task, n=400, skill=skill)) for skill in (0.5, 3.0))
        for name in worse.keys() - {"ece"}:
            gain = np.nanmean(better[name]) - np.nanmean(worse[name])
            assert gain > 0 if MEASURES[name].better == "higher" else gain < 0, name


def test_the_same_seed_draws_the_same_intervals_and_another_seed_others():
    of = random_outcomes("single")
    assert estimate_all(of, seed=4) == estimate_all(of, seed=4)
    assert estimate_all(of, seed=4).overall["macro_f1"] != estimate_all(of, seed=5).overall["macro_f1"]
    assert ece_of_a_perfect_model(of, seed=4) == ece_of_a_perfect_model(of, seed=4)


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 100))
def test_a_resample_has_as_many_images_as_there_are(n, count, seed):
    drawn = np.concatenate(list(resamples(n, count, seed=seed)), axis=1)
    assert drawn.shape == (n, count)
    assert (drawn.sum(axis=0) == n).all()


def test_resamples_do_not_depend_on_how_they_are_cut_into_blocks(monkeypatch):
    whole = np.concatenate(list(resamples(50, 30, seed=1)), axis=1)
    monkeypatch.setattr("fieldmark.measures.intervals._CELLS_AT_ONCE", 50 * 7)
    blocks = list(resamples(50, 30, seed=1))
    assert len(blocks) == 5
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)


def test_fewer_resamples_are_drawn_where_there_is_much_to_do():
    assert resamples_for(10_000, 10) == 1000
    assert resamples_for(50_000, 1000) == 200


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_holds_the_value_and_stays_between_nought_and_one(successes, n):
    estimate = proportion(min(successes, n), n)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.high - estimate.low > 0


@given(st.integers(0, 50), st.integers(1, 50), st.integers(2, 20))
def test_wilson_narrows_with_n(successes, n, times):
    few, many = proportion(min(successes, n), n), proportion(min(successes, n) * times, n * times)
    assert many.high - many.low < few.high - few.low


def test_wilson_is_the_published_one():
    # Newcombe 1998, table I, method 3: 81/263, 15/148 and 0/20.
    for successes, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        estimate = proportion(successes, n)
        assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)


def test_nothing_counted_has_no_proportion():
    assert proportion(0, 0, why="nobody came").why == "nobody came"
    assert proportion(0, 0).value is None


def test_draws_where_a_figure_is_undefined_are_left_out():
    draws = np.array([np.nan, *np.linspace(0, 1, 101), np.nan])
    estimate = bootstrapped(0.5, draws, 9, within=(0, 1), why="")
    np.testing.assert_allclose((estimate.low, estimate.high), (0.025, 0.975))
    assert bootstrapped(0.5, np.full(3, np.nan), 9, within=(0, 1), why="never defined").why == "never defined"


def test_a_bias_of_the_draws_is_taken_out_and_the_range_kept():
    draws = np.linspace(0, 1, 101)
    biased = bootstrapped(0.5, draws + 0.3, 9, within=(0, 1), why="")
    np.testing.assert_allclose((biased.low, biased.high), (0.025, 0.975))
    near_the_end = bootstrapped(0.1, draws, 9, within=(0, 1), why="")
    np.testing.assert_allclose((near_the_end.low, near_the_end.high), (0, 0.575))


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    # Mean accuracy 0.8 by construction; macro recall is not Wilson's, so its interval is the bootstrap's.
    random = np.random.default_rng(0)
    held = 0
    for _ in range(60):
        targets = np.arange(100) % 2
        right = random.random(100) < 0.8
        said = np.eye(2)[np.where(right, targets, 1 - targets)] * 0.8 + 0.1
        figure = estimate_all(outcomes(targets, said, task="single")).overall["macro_recall"]
        held += figure.low <= 0.8 <= figure.high
    assert 51 <= held <= 60


@pytest.mark.parametrize(("n", "published"), [(100, 0.087), (500, 0.040), (5000, 0.013)])
def test_a_perfectly_calibrated_model_shows_the_ece_that_chance_gives(n, published):
    # shared research, 400 draws of Beta(8, 2) confidences.
    said = np.maximum(np.random.default_rng(0).beta(8, 2, n), 0.5)
    of = outcomes(np.zeros(n, np.int64), np.stack([said, 1 - said], axis=1), task="single")
    estimate = ece_of_a_perfect_model(of)
    assert estimate.value == pytest.approx(published, rel=0.15)
    assert estimate.low < estimate.value < estimate.high


def test_a_calibrated_model_has_an_ece_that_chance_explains_and_a_boaster_has_not():
    random = np.random.default_rng(0)
    said = random.uniform(0.5, 1, 2000)
    for honest, share in ((True, said), (False, said - 0.2)):
        targets = (random.random(2000) > share).astype(np.int64)
        of = outcomes(targets, np.stack([said, 1 - said], axis=1), task="single")
        assert (estimate_all(of).overall["ece"].value <= ece_of_a_perfect_model(of).high) == honest


@pytest.mark.parametrize(
    ("targets", "probabilities", "task"),
    [
        ([], np.zeros((0, 3)), "single"),
        ([0, 1], [[0.5, 0.5]], "single"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "single"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], "single"),
        ([0], [[np.nan, 0.5]], "single"),
        ([0], [[1.5, -0.5]], "single"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], "multi"),
    ],
)
def test_answers_that_are_no_answers_are_refused(targets, probabilities, task):
    with pytest.raises(ValueError, match=r"probabilities|targets"):
        outcomes(np.asarray(targets, np.int64), np.asarray(probabilities), task=task)


def test_the_first_of_equals_wins_and_a_label_that_reaches_its_threshold_is_given():
    assert outcomes(np.array([1]), np.array([[0.2, 0.4, 0.4]]), task="single").answers.tolist() == [1]
    said = outcomes(np.array([[1, 0]]), np.array([[0.3, 0.3]]), task="multi", thresholds=(0.3, 0.31))
    assert said.answers.tolist() == [[True, False]]


@given(
    st.integers(0, 10_000),
    st.floats(0.1, 0.7),
)
def test_what_nobody_looked_for_counts_nowhere_and_each_label_by_its_own_images(seed, share):
    whole = random_outcomes("multi", n=60, classes=4, seed=seed)
    random = np.random.default_rng(seed)
    unknown = random.random((60, 4)) < share
    unknown[unknown.all(axis=1), 0] = False
    targets = np.where(unknown, UNKNOWN, whole.targets)
    of = outcomes(targets, whole.probabilities, task="multi")
    other = outcomes(targets, np.where(unknown, random.random((60, 4)), whole.probabilities), task="multi")
    _same(_figures(of), _figures(other))
    estimates = estimate_all(of)
    for at in range(4):
        seen = ~unknown[:, at]
        alone = outcomes(whole.targets[seen, at : at + 1], whole.probabilities[seen, at : at + 1], task="multi")
        for name, (figure,) in estimate_all(alone).per_class.items():
            mine = estimates.per_class[name][at]
            assert mine.n == figure.n
            assert mine.value == (None if figure.value is None else pytest.approx(figure.value))
    pairs = ~unknown
    assert estimates.overall["hamming_loss"].value == pytest.approx((of.answers != of.targets)[pairs].mean())
    assert estimates.overall["brier"].value == pytest.approx(
        np.square(whole.probabilities - whole.targets)[pairs].mean()
    )
