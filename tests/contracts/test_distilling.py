"""A teacher's answers: asked once, kept for a resumed run, and nearer to the student's in the end."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import makers_bundle
import makers_training as make
from fieldmark.bundle.schema import Decision, Weights
from fieldmark.errors import BundleError, DataError, UsageError
from fieldmark.inference.classifier import load
from fieldmark.training import distilling
from fieldmark.training.choosing import choose
from fieldmark.training.distilling import divergence, taught
from fieldmark.training.end_to_end import learn_end_to_end
from fieldmark.training.job import Job
from fieldmark.training.loop import fit
from fieldmark.training.plan import Plan
from fieldmark.training.planning import plan
from fieldmark.training.recipe import Recipe

CLASSES = ("r", "g", "b")
TURNED = ("b", "r", "g")


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return teacher_in(tmp_path)


def teacher_in(folder: Path, name: str = "teacher", seed: int = 3, **changes: object) -> Path:
    fields = {"classes": TURNED, "decision": Decision(temperature=2.0), "name": name, **changes}
    return makers_bundle.write_bundle(
        folder / f"{name}.fieldmark", encoded_graph=makers_bundle.graph(3, seed), **fields
    )


def job_of_files(folder: Path, **changes: object) -> Job:
    """The made-up job with its images as files, which a teacher reads for itself."""
    folder.mkdir(exist_ok=True)
    job = make.job(folder, **changes)
    for row, pixels in enumerate(job.pixels):
        Image.fromarray(pixels).save(folder / str(job.data.files[row]), "PNG")
    return job


def taught_by(teacher: Path, **changes: object) -> Plan:
    settings = {"teacher": str(teacher), "teacher_share": 0.9, "teacher_temperature": 4.0, "label_smoothing": 0.0}
    return msgspec.structs.replace(make.PLAN, **{**settings, **changes})


def answers_of(teacher: Path, pixels: np.ndarray) -> np.ndarray:
    """Calibrated logits in the order of the data's classes."""
    classifier = load(teacher)
    manifest = classifier.bundle.manifest
    logits = classifier.run(pixels)[1] / manifest.decision.temperature
    return logits[:, [manifest.classes.index(name) for name in CLASSES]]


def test_what_is_learnt_is_what_the_teacher_says_of_either_side(tmp_path, teacher):
    job = job_of_files(tmp_path / "run")
    answers = taught(job, taught_by(teacher)).answers
    plain = answers_of(teacher, job.pixels[job.train])
    mirrored = answers_of(teacher, np.ascontiguousarray(job.pixels[job.train][:, :, ::-1]))
    np.testing.assert_allclose(answers[0, job.train], plain, atol=1e-5)
    np.testing.assert_allclose(answers[1, job.train], mirrored, atol=1e-5)
    assert np.abs(plain - mirrored).max() > 1e-3
    assert not answers[:, job.validation].any()
    once = taught(job_of_files(tmp_path / "other"), taught_by(teacher, flip=False)).answers
    assert not once[1].any()


def test_each_row_is_taught_by_its_own_answer(tmp_path, teacher):
    job = job_of_files(tmp_path / "run")
    lesson = taught(job, taught_by(teacher, teacher_share=1.0))
    rows, sides = torch.from_numpy(job.train[:6]), torch.tensor([False, True] * 3)
    own = torch.from_numpy(lesson.answers[sides.long().numpy(), rows.numpy()])
    nought = lesson.mixed(torch.full((6,), 9.0), own, rows, sides)
    np.testing.assert_allclose(nought.numpy(), 0.0, atol=1e-5)
    assert (lesson.mixed(torch.zeros(6), own, rows.flip(0), sides) > 1e-4).any()


@pytest.mark.parametrize("task", ["single", "multi"])
def test_a_student_comes_nearer_to_its_teacher(tmp_path, task):
    teacher = teacher_in(tmp_path, task=task)
    apart = []
    for name, steps in (("taught", taught_by(teacher, epochs=12)), ("alone", make.PLAN)):
        job, network = job_of_files(tmp_path / name, task=task), make.network()
        fit(network, job, msgspec.structs.replace(steps, score="negative log-loss"))
        with torch.inference_mode():
            logits = network(torch.from_numpy(job.pixels[job.validation]))[1]
        said = torch.from_numpy(answers_of(teacher, job.pixels[job.validation]))
        apart.append(float(divergence(logits, said, 1.0, task).mean()))
    assert apart[0] < 0.7 * apart[1]


class Stopped(Exception):
    """Thrown from within a run by its progress."""


def test_stopped_and_resumed_is_as_if_left_alone_and_asks_nobody_twice(tmp_path, teacher, monkeypatch):
    monkeypatch.setattr("fieldmark.training.running.SAVE_S", 0.0)

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        if stage == "train" and done == 6:
            raise Stopped

    left_alone, resumed = make.network(), make.network()
    steps = taught_by(teacher)
    fit(left_alone, job_of_files(tmp_path / "alone"), steps)
    with pytest.raises(Stopped):
        fit(make.network(), job_of_files(tmp_path / "run", progress=stop), steps)
    monkeypatch.setattr(distilling, "_ask", None)
    fit(resumed, job_of_files(tmp_path / "run", resume=True), steps)
    assert make.weights(resumed) == make.weights(left_alone)


def test_another_teacher_does_not_go_on_with_a_run(tmp_path, teacher):
    fit(make.network(), job_of_files(tmp_path / "run"), taught_by(teacher))
    teacher_in(tmp_path, seed=4)
    with pytest.raises(UsageError, match="teacher has changed"):
        fit(make.network(), job_of_files(tmp_path / "run", resume=True), taught_by(teacher))


def test_half_written_answers_are_asked_anew(tmp_path, teacher):
    job = job_of_files(tmp_path / "run")
    (tmp_path / "run" / distilling.ANSWERS).write_bytes(b"half")
    assert taught(job, taught_by(teacher)).answers.any()


def test_a_teacher_is_moved_to_the_world_that_is_trained_for(tmp_path):
    """One who answers for classes that are alike says less of common ones."""
    even = teacher_in(tmp_path, recipe={"prior": "even"})
    job = job_of_files(tmp_path / "run")
    shifted = taught(job, taught_by(even)).answers[0, job.train]
    plain = answers_of(even, job.pixels[job.train])
    np.testing.assert_allclose(
        shifted - plain, np.broadcast_to(np.log(job.counts / job.counts.sum()), plain.shape), atol=1e-5
    )
    same = taught(job, taught_by(even, balance="class-weights")).answers[0, job.train]
    np.testing.assert_allclose(same, plain, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "word"), [({"classes": ("r", "g", "violet")}, "violet"), ({"task": "multi"}, "several labels")]
)
def test_a_teacher_of_something_else_is_refused_before_any_work(tmp_path, changes, word):
    other = teacher_in(tmp_path, **changes)
    with pytest.raises(UsageError, match=word):
        choose(Recipe(model="lenet", teacher=str(other)), make.job(tmp_path).data)
    with pytest.raises(BundleError, match="no such bundle"):
        choose(Recipe(model="lenet", teacher=str(tmp_path / "nobody")), make.job(tmp_path).data)


def test_a_teacher_takes_effect_or_is_refused(tmp_path, teacher):
    data = make.job(tmp_path).data
    with pytest.raises(UsageError, match="--teacher would have no effect"):
        choose(Recipe(model="colour", teacher=str(teacher)), data)
    assert choose(Recipe(model="lenet", teacher=str(teacher)), data).method == "network"
    job = make.job(tmp_path, recipe=Recipe(teacher=str(teacher), precision="fp32"))
    steps, reasons = plan(job, pretrained=False)
    assert (steps.teacher, steps.teacher_share, steps.teacher_temperature) == (str(teacher), 0.9, 4.0)
    assert steps.label_smoothing == 0.0
    assert any("teacher share = 0.9" in reason for reason in reasons)


def test_where_it_comes_from_is_remembered(tmp_path):
    teacher = teacher_in(tmp_path, weights=Weights(source="hub", licence="cc-by-nc-4.0"))
    recipe = Recipe(teacher=str(teacher), epochs=1, precision="fp32", threads=1)
    learned = learn_end_to_end(job_of_files(tmp_path / "run", recipe=recipe))
    ((parent),) = learned.parents
    assert (parent.role, parent.name, parent.weights.licence) == ("teacher", "teacher", "cc-by-nc-4.0")
    assert learned.settings["teacher"] == str(teacher)
    assert any("another division of images" in note for note in learned.notes)


def test_an_image_that_has_gone_is_said(tmp_path, teacher):
    job = job_of_files(tmp_path / "run")
    job.data.path(int(job.train[3])).unlink()
    with pytest.raises(DataError, match="cannot be read any more"):
        taught(job, taught_by(teacher))


logits = arrays(np.float32, (4, 3), elements=st.floats(-8, 8, width=32))


@given(logits, logits, st.floats(0.5, 8.0))
def test_divergence_is_nought_for_equals_and_never_less(ours, theirs, temperature):
    for task in ("single", "multi"):
        ours_, theirs_ = torch.from_numpy(ours), torch.from_numpy(theirs)
        assert (divergence(ours_, theirs_, temperature, task) >= -1e-4).all()
        assert torch.allclose(divergence(ours_, ours_, temperature, task), torch.zeros(4), atol=1e-4)


@given(logits, logits)
def test_divergence_is_that_of_the_textbook(ours, theirs):
    def softened(of: np.ndarray) -> np.ndarray:
        raised = np.exp(of.astype(np.float64) / 4.0)
        return raised / raised.sum(axis=1, keepdims=True)

    p, q = softened(theirs), softened(ours)
    expected = 16.0 * (p * np.log(p / q)).sum(axis=1)
    said = divergence(torch.from_numpy(ours), torch.from_numpy(theirs), 4.0, "single")
    np.testing.assert_allclose(said.numpy(), expected, atol=1e-3)
