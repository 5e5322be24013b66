"""Every measure equals the field's reference libraries, on random and on degenerate answers.

A row names those functions in `same_as`; their arguments are filled in here by the names they bear, so a new row
is covered from the moment that it stands in the table, and a row that names no function fails.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from fieldmark.measures.estimating import estimate_all, fitting
from fieldmark.measures.outcomes import Outcomes
from fieldmark.measures.row import Measure
from fieldmark.measures.table import MEASURES
from fieldmark.measures.weighted import once
from makers_measures import degenerate_outcomes, random_outcomes

INPUTS = {
    (task, title): given
    for task in ("single", "multi")
    for title, given in {
        **{f"random {seed}": random_outcomes(task, seed=seed) for seed in range(3)},
        **degenerate_outcomes(task),
    }.items()
}
PAIRS = [
    pytest.param(MEASURES[name], function, arguments, id=f"{name}-{function}")
    for name in MEASURES
    for function, arguments in MEASURES[name].same_as.items()
]


@pytest.mark.parametrize("name", MEASURES)
def test_a_row_names_a_function_that_gives_the_same_figure(name):
    assert MEASURES[name].same_as, f"{name} stands alone: nothing shows that it is what the field means by that name"
    assert MEASURES[name].summary and MEASURES[name].reference and MEASURES[name].undefined


@pytest.mark.parametrize(("row", "path", "arguments"), PAIRS)
def test_the_figure_is_the_reference_librarys(row: Measure, path: str, arguments: Mapping[str, Any]):
    reference = _function(path)
    compared = 0
    for (task, title), given in INPUTS.items():
        if row not in fitting(task, given.classes):
            continue
        ours = row.function(once(given))[..., 0]
        if path.startswith("sklearn"):
            theirs = _scikit(reference, row, given, arguments)
        elif row.scope == "all" and _averages_an_absent_class(row, given):
            continue
        else:
            theirs = _torchmetrics(reference, row, given, arguments)
        defined = ~np.isnan(ours)
        compared += int(np.sum(defined))
        np.testing.assert_allclose(
            np.broadcast_to(theirs, ours.shape)[defined], ours[defined], rtol=0, atol=2e-6, err_msg=f"{task}: {title}"
        )
        # Where we say "undefined", the libraries say NaN, or 0 with a warning; never a figure.
        assert not np.nan_to_num(np.broadcast_to(theirs, ours.shape)[~defined]).any(), f"{task}: {title}"
    assert compared > 0


@pytest.mark.parametrize("name", MEASURES)
def test_an_estimate_is_whole(name, estimates):
    row = MEASURES[name]
    for (task, title), given in INPUTS.items():
        made = estimates[task, title].overall if row.scope == "all" else estimates[task, title].per_class
        assert (name in made) == (row in fitting(task, given.classes))
        for estimate in made.get(name, ()) if row.scope == "class" else [made[name]] if name in made else []:
            if estimate.value is None:
                assert (estimate.low, estimate.high, estimate.interval) == (None, None, "none")
                assert estimate.why == row.undefined
            else:
                assert row.range[0] <= estimate.low <= estimate.value <= estimate.high <= row.range[1], title
                assert (estimate.interval, estimate.why) == (row.interval, "")
                assert 0 < estimate.n <= len(given)


@pytest.fixture(scope="module")
def estimates():
    return {key: estimate_all(given) for key, given in INPUTS.items()}


def _averages_an_absent_class(row: Measure, given: Outcomes) -> bool:
    """torchmetrics counts an absent class as 0 in a mean over classes; ours and scikit-learn's leave it out."""
    return row.name.startswith(("macro", "map")) and any(
        not given.has(c).any() or given.has(c).all() for c in range(given.classes)
    )


def _function(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    if module.startswith("torchmetrics"):
        _let_torchvision_import()
    return getattr(importlib.import_module(module), name)


def _let_torchvision_import() -> None:
    """A torchvision built for CUDA beside a torch for CPU cannot be imported, and torchmetrics imports it if it is
    there, for image-quality networks that are not used here. Naming the two missing operators is enough."""
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT_ALIVE.append(library)


_KEPT_ALIVE: list[Any] = []


def _scikit(function: Callable[..., Any], row: Measure, given: Outcomes, arguments: Mapping[str, Any]) -> Any:
    takes = inspect.signature(function).parameters
    words = dict(arguments)
    true, said = given.targets, given.answers if row.needs == "labels" else given.probabilities
    every = np.arange(given.classes)
    if "y_score" in takes and "average" in takes:  # one column a class
        columns = np.stack([given.has(c) for c in every], axis=1)
        usable = columns.any(axis=0) & (~columns.all(axis=0) | ("max_fpr" not in takes))
        if not usable.any():
            return np.nan
        figures = np.full(given.classes, np.nan)
        figures[usable] = function(columns[:, usable], said[:, usable], **(words | {"average": None}))
        return figures if words["average"] is None else np.nanmean(figures)
    if row.needs == "probabilities" and given.task == "multi":
        true, said, every = true.ravel().astype(int), said.ravel(), np.arange(2)
    if "k" in takes:
        # Of tied classes scikit-learn lets the last one lead; ours, as argmax, the first: look from the other end.
        true, said = given.classes - 1 - true, said[:, ::-1]
    if "labels" in takes:
        words["labels"] = every
    if "zero_division" in takes:
        words["zero_division"] = np.nan
        if row.scope == "all" and words["average"] in ("macro", "weighted"):
            words["zero_division"] = 0
            words["labels"] = [c for c in every if given.has(c).any()]
            if not words["labels"]:
                return np.nan
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true", UserWarning)
        warnings.filterwarnings("ignore", "A single label was found", UserWarning)
        return np.asarray(function(true, said, **words))


def _torchmetrics(function: Callable[..., Any], row: Measure, given: Outcomes, arguments: Mapping[str, Any]) -> Any:
    takes = inspect.signature(function).parameters
    words = dict(arguments)
    true, said = given.targets, given.answers if row.needs == "labels" else given.probabilities
    if given.task == "single":
        words |= {"task": "multiclass", "num_classes": given.classes}
    elif "num_labels" in takes:
        words |= {"task": "multilabel", "num_labels": given.classes}
        true, said = true.astype(int), said * 1
    else:
        words["task"] = "binary"
        true, said = true.ravel().astype(int), said.ravel()
    if "top_k" in arguments:
        said = said / 2 - 1e-9 * np.arange(given.classes) + 0.1  # of tied classes topk lets any lead; ours, the first
    if "n_bins" in takes:
        said = np.minimum(said, np.nextafter(1.0, 0.0))  # torchmetrics gives 1.0 a bin of its own, of no width
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(No (positive|negative) samples|Average precision score)", UserWarning)
        return function(torch.from_numpy(said.copy()), torch.from_numpy(true.copy()), **words).numpy()
