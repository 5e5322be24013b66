"""What every row of the table of heads holds to."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fieldmark.data.dataset import UNKNOWN, Task
from fieldmark.heads.choosing import logits_of
from fieldmark.heads.row import HEADS, Labelled
from makers_heads import hard, separable

TASKS: tuple[Task, ...] = ("single", "multi")
every_head = pytest.mark.parametrize("name", list(HEADS))
both_tasks = pytest.mark.parametrize("task", TASKS)


def answers(data: Labelled, logits: NDArray[np.float64]) -> NDArray[np.int64]:
    return logits.argmax(axis=1) if data.task == "single" else (logits > 0).astype(np.int64)


def exported(module: nn.Module, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    graph = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that needs no compiler announces its successor.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module.eval(),
            (torch.from_numpy(embedding[:2]),),
            graph,
            dynamo=False,
            opset_version=17,
            input_names=["embedding"],
            output_names=["logits"],
            dynamic_axes={"embedding": {0: "n"}, "logits": {0: "n"}},
        )
    session = onnxruntime.InferenceSession(graph.getvalue(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"embedding": embedding})
    return np.asarray(logits)


@every_head
@both_tasks
def test_learns_what_can_be_learnt(name: str, task: Task) -> None:
    data = separable(task)
    fitted = HEADS[name].fit(data, seed=0)
    logits = logits_of(fitted.module, data.embedding)
    assert logits.shape == (len(data.targets), data.classes)
    assert (answers(data, logits) == data.targets).mean() >= 0.95


@every_head
@both_tasks
def test_exports_and_answers_the_same(name: str, task: Task) -> None:
    data = hard(task)
    module = HEADS[name].fit(data, seed=0).module
    asked = hard(task, seed=7).embedding
    np.testing.assert_allclose(exported(module, asked), logits_of(module, asked), atol=2e-4)


@every_head
@both_tasks
def test_permuting_classes_permutes_logits(name: str, task: Task) -> None:
    data = hard(task, count=60)
    order = np.array([2, 0, 1])
    turned = data.targets[:, order] if task == "multi" else np.argsort(order)[data.targets]
    first = HEADS[name].fit(data, seed=0)
    second = HEADS[name].fit(replace(data, targets=turned), seed=0)
    assert first.settings == second.settings
    ours, theirs = logits_of(first.module, data.embedding), logits_of(second.module, data.embedding)
    # Nothing may hang on the order of classes but rounding, and the answer where two are equal.
    np.testing.assert_allclose(ours[:, order], theirs, atol=5e-3)


@every_head
@both_tasks
def test_same_seed_same_bytes(name: str, task: Task) -> None:
    data = hard(task, count=60)
    state = torch.random.get_rng_state()
    first, second = (HEADS[name].fit(data, seed=3) for _ in range(2))
    assert first.choices == second.choices
    pairs = zip(first.module.state_dict().items(), second.module.state_dict().items(), strict=True)
    assert all(one == other and a.numpy().tobytes() == b.numpy().tobytes() for (one, a), (other, b) in pairs)
    assert torch.equal(state, torch.random.get_rng_state())


@every_head
@both_tasks
def test_settings_refit_the_same_without_choosing(name: str, task: Task) -> None:
    data = hard(task, count=60)
    chosen = HEADS[name].fit(data, seed=0)
    again = HEADS[name].fit(data, seed=0, settings=chosen.settings)
    np.testing.assert_array_equal(logits_of(chosen.module, data.embedding), logits_of(again.module, data.embedding))


@every_head
def test_class_with_one_image(name: str) -> None:
    data = separable("single", count=40)
    alone = replace(data, targets=np.where(np.arange(40) == 39, 3, data.targets), classes=4)
    alone.embedding[39] = 12 * np.eye(12)[9]
    logits = logits_of(HEADS[name].fit(alone, seed=0).module, alone.embedding)
    assert np.isfinite(logits).all()
    if HEADS[name].one_image_class == "learns":
        assert logits[39].argmax() == 3


@every_head
@both_tasks
def test_class_without_an_image_is_never_the_answer(name: str, task: Task) -> None:
    data = separable(task, count=40)
    nobody = np.zeros((40, 1), dtype=np.uint8)
    targets = np.hstack([nobody, data.targets]) if task == "multi" else data.targets + 1
    module = HEADS[name].fit(replace(data, targets=targets, classes=4), seed=0).module
    logits = logits_of(module, separable(task, seed=5).embedding)
    assert np.isfinite(logits).all()
    assert not (logits.argmax(axis=1) == 0 if task == "single" else logits[:, 0] > 0).any()
    assert exported(module, data.embedding).shape == (40, 4)


@every_head
def test_a_handful_of_images_is_enough_to_answer(name: str) -> None:
    data = separable("single", count=2, classes=2)
    assert np.isfinite(logits_of(HEADS[name].fit(data, seed=0).module, data.embedding)).all()
    one_group = replace(separable("single", count=12), group=np.zeros(12, dtype=np.int64))
    assert np.isfinite(logits_of(HEADS[name].fit(one_group, seed=0).module, data.embedding)).all()


@every_head
@both_tasks
def test_agrees_with_its_source_library(name: str, task: Task) -> None:
    library = HEADS[name].library
    if library is None:
        pytest.skip("the row names no source library")
    data, asked = hard(task), hard(task, seed=7)
    fitted = HEADS[name].fit(data, seed=0)
    assert fitted.settings is not None
    theirs = library(data, fitted.settings, 0, asked.embedding)
    ours = logits_of(fitted.module, asked.embedding)
    clear = np.diff(np.sort(theirs, axis=1)[:, -2:]) if task == "single" else np.abs(theirs)
    agree = answers(data, ours) == answers(data, theirs)
    sure = clear[:, 0] > 1e-2 if task == "single" else clear > 1e-2
    assert sure.mean() > 0.5
    assert agree[sure].mean() == 1.0


@every_head
def test_what_nobody_looked_for_has_no_say_where_the_row_says_so(name: str) -> None:
    """Beside each image its double, of which nothing is known: the answers are as before."""
    if not HEADS[name].leaves_out_unknown:
        pytest.skip("the row learns from images that are labelled in full")
    data = hard("multi", count=60)
    twice = replace(
        data,
        embedding=np.concatenate([data.embedding, data.embedding]),
        targets=np.concatenate([data.targets, np.full_like(data.targets, UNKNOWN, dtype=np.int8)]).astype(np.int8),
        group=np.concatenate([data.group, data.group]),
    )
    chosen = HEADS[name].fit(data, seed=0).settings
    settings = {"k": 2 * chosen["k"]} if "k" in chosen else chosen  # as many neighbours that say something
    asked = hard("multi", seed=7).embedding
    alone = logits_of(HEADS[name].fit(data, seed=0, settings=chosen).module, asked)
    beside = logits_of(HEADS[name].fit(twice, seed=0, settings=settings).module, asked)
    np.testing.assert_allclose(alone, beside, atol=5e-3)
    assert np.isfinite(logits_of(HEADS[name].fit(twice, seed=0).module, asked)).all()
