"""An Evaluation says the same thing in all its places."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.errors import DataError
from fieldmark.evaluation.cases import MOST_CASES
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.summarise import summarise
from fieldmark.measures.estimating import fitting
from fieldmark.measures.outcomes import Outcomes
from makers_measures import degenerate_outcomes, random_outcomes

ANSWERS = st.builds(
    random_outcomes,
    st.sampled_from(["single", "multi"]),
    n=st.integers(8, 60),
    classes=st.integers(2, 7),
    seed=st.integers(0, 10_000),
)


def _summary(of: Outcomes, **more: object) -> Evaluation:
    return summarise(
        of.targets,
        of.probabilities,
        task=of.task,
        classes=tuple("abcdefg"[: of.classes]),
        files=[f"{row}.jpg" for row in range(len(of))],
        part="test",
        **more,
    )


@given(ANSWERS)
@settings(max_examples=20)
def test_the_parts_agree(of):
    made = _summary(of)
    rows = fitting(of.task, of.classes)
    assert list(made.figures) == [row.name for row in rows if row.scope == "all"] + ["ece_of_a_perfect_model"]
    confusion = np.array(made.confusion)
    whole = "accuracy" if of.task == "single" else "subset_accuracy"
    hits = round(made.figures[whole].value * made.n)
    assert len(made.hits) == min(hits, MOST_CASES)
    assert len(made.mistakes) == min(made.n - hits, MOST_CASES)
    if of.task == "single":
        assert confusion.sum() == made.n and confusion.trace() == hits
        assert [each.n for each in made.per_class] == confusion.sum(axis=1).tolist()
        assert [each.predicted for each in made.per_class] == confusion.sum(axis=0).tolist()
    else:
        assert (confusion.sum(axis=1) == made.n).all()
        assert [each.n for each in made.per_class] == confusion[:, 2:].sum(axis=1).tolist()
        assert [each.predicted for each in made.per_class] == confusion[:, [1, 3]].sum(axis=1).tolist()
    for each in made.per_class:
        assert (each.figures["recall"].n, each.figures["precision"].n) == (each.n, each.predicted)


@given(ANSWERS)
@settings(max_examples=20)
def test_the_reliability_bins_hold_every_probability_and_give_the_ece(of):
    made = _summary(of)
    sizes = np.array([each.came_true.n for each in made.reliability])
    gaps = np.array([each.said - each.came_true.value for each in made.reliability])
    assert sizes.sum() == (made.n if of.task == "single" else made.n * of.classes)
    assert all(each.low <= each.said <= each.high for each in made.reliability)
    assert np.abs(gaps) @ sizes / sizes.sum() == pytest.approx(made.figures["ece"].value)


@given(ANSWERS)
@settings(max_examples=20)
def test_cases_are_what_their_files_are(of):
    made = _summary(of)
    names = np.array(made.classes)
    for case in (*made.mistakes, *made.hits):
        row = int(case.file.removesuffix(".jpg"))
        assert case.probability in of.probabilities[row]
        if of.task == "single":
            assert case.truth == (names[of.targets[row]],)
            assert case.probability == of.probabilities[row].max()
        else:
            assert case.answer == tuple(names[of.answers[row]])
            assert case.truth == tuple(names[of.targets[row]])
    assert all(case.truth != case.answer for case in made.mistakes)
    assert all(case.truth == case.answer for case in made.hits)


def test_mistakes_come_most_confident_first_and_hits_least_certain_first():
    made = _summary(random_outcomes("single", n=200, skill=1.0))
    assert len(made.mistakes) == len(made.hits) == MOST_CASES
    assert list(made.mistakes) == sorted(made.mistakes, key=lambda case: -case.probability)
    assert list(made.hits) == sorted(made.hits, key=lambda case: case.probability)


def test_with_several_labels_the_label_that_was_most_wrong_speaks():
    made = summarise(
        np.array([[1, 0], [1, 0], [1, 0]]),
        np.array([[0.9, 0.7], [0.05, 0.2], [0.6, 0.1]]),
        task="multi",
        classes=("a", "b"),
        files=["b too many", "a missing", "right"],
        part="test",
    )
    assert [(case.file, case.probability) for case in made.mistakes] == [("a missing", 0.05), ("b too many", 0.7)]
    assert [(case.file, case.probability) for case in made.hits] == [("right", 0.6)]


def test_an_absent_class_is_named_and_not_averaged():
    made = _summary(degenerate_outcomes("single")["an absent class"])
    assert made.absent == ("e",)
    recalls = [each.figures["recall"].value for each in made.per_class]
    assert recalls[4] is None
    assert made.figures["macro_recall"].value == pytest.approx(np.mean([r for r in recalls if r is not None]))
    assert any("no average counts them: e" in note for note in made.notes)


def test_a_class_never_predicted_is_said_to_count_as_nought():
    made = _summary(degenerate_outcomes("single")["a class never predicted"])
    precisions = [each.figures["precision"] for each in made.per_class]
    assert precisions[2].value is None and precisions[2].why
    assert made.figures["macro_precision"].value == pytest.approx(np.mean([p.value or 0.0 for p in precisions]))
    assert any("never predicted" in note and note.endswith(": c") for note in made.notes)


def test_how_the_intervals_came_about_is_said():
    made = _summary(random_outcomes("single"), seed=7, notes=("first",), skipped=(("x.jpg", "empty file"),))
    assert made.notes[0] == "first"
    assert any("1,000 resamples" in note and "seed 7" in note for note in made.notes)
    assert made.skipped == (("x.jpg", "empty file"),)


@pytest.mark.parametrize("task", ["single", "multi"])
def test_it_survives_json(task):
    for of in (random_outcomes(task), *degenerate_outcomes(task).values()):
        made = _summary(of)
        assert msgspec.json.decode(msgspec.json.encode(made), type=Evaluation) == made


def test_top_k_needs_more_than_k_classes():
    for classes, expected in ((3, set()), (4, {"top_3_accuracy"}), (6, {"top_3_accuracy", "top_5_accuracy"})):
        figures = _summary(random_outcomes("single", classes=classes)).figures
        assert {name for name in figures if name.startswith("top_")} == expected


def test_no_images_is_an_error_with_three_parts():
    with pytest.raises(DataError, match="no images to measure"):
        summarise(np.zeros(0, int), np.zeros((0, 2)), task="single", classes=("a", "b"), files=[], part="test")
