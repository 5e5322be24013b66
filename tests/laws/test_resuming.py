"""An interrupted prediction goes on: wherever it was cut, the whole is byte for byte the uninterrupted one."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.cli.resuming import Asked, answer_all, run_folder
from fieldmark.cli.rows import Answer
from fieldmark.cli.tally import Tally
from fieldmark.data.picture import Reason, Unreadable
from fieldmark.errors import OutputError, UsageError
from fieldmark.inference.execution import Execution
from fieldmark.inference.prediction import Failure, Prediction
from fieldmark.progress import silent

BATCH = 4
EXECUTION = Execution(runner="onnxruntime", threads=1, workers=2, batch=BATCH)
# Names that a format may stumble over; every third image cannot be read.
NAMES = [
    "plain.jpg",
    'a "quoted".jpg',
    "two\nlines.jpg",
    "comma, and ; more.jpg",
    "\udce9t\udce9.jpg",
    "a\rb.jpg",
    "é.jpg",
]
PATHS = [Path("folder", f"{n:02}-{NAMES[n % len(NAMES)]}") for n in range(23)]
forms = pytest.mark.parametrize("form", ["csv", "jsonl"])


def asked(form: str, **changes: object) -> Asked:
    usual = {"bundle": "0" * 64, "form": form, "top": 2, "runner": None, "threads": None}
    return Asked(**{**usual, **changes})  # type: ignore[arg-type]


class Answering:
    """Answers every image by its name; ends with an error at number `fails_at`. As a graph may, it answers a bit
    otherwise where a run began elsewhere than at a whole number of batches."""

    def __init__(self, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.run: list[Path] = []
        self.fails_at = fails_at
        self.error = error or KeyboardInterrupt()

    def __call__(self, execution: Execution, images: Iterator[Path]) -> Iterator[Answer]:
        for place, path in enumerate(images):
            if len(self.run) == self.fails_at:
                raise self.error
            self.run.append(path)
            yield answer(path, place % execution.batch)


def answer(path: Path, neighbours: int) -> Answer:
    if PATHS.index(path) % 3 == 2:
        return Failure(source=str(path), unreadable=Unreadable(reason=Reason.DAMAGED, detail=f'"{path}" is no, use'))
    first = (PATHS.index(path) + 1) / 100 + neighbours / 1000
    return Prediction(
        source=str(path), classes=("cat", "do|g"), probabilities=np.array([first, 1 - first]), labels=("cat",)
    )


def predict(output: Path, form: str, answering: Answering, paths: list[Path] = PATHS, **changes: object) -> Tally:
    return answer_all(
        output, paths, asked(form, **changes), choose=lambda _: EXECUTION, answer=answering, progress=silent
    )


@functools.cache
def uninterrupted(form: str) -> bytes:
    with TemporaryDirectory() as folder:
        predict(Path(folder, "answers"), form, Answering())
        return Path(folder, "answers").read_bytes()


@forms
@given(st.data())
def test_wherever_the_file_was_cut_off_the_whole_is_the_same(form, data):
    cut = data.draw(st.integers(0, len(uninterrupted(form))))
    with TemporaryDirectory() as folder:
        output = Path(folder, "answers")
        with pytest.raises(KeyboardInterrupt):
            predict(output, form, Answering(fails_at=0))
        (run_folder(output) / "answers").write_bytes(uninterrupted(form)[:cut])
        again = Answering()
        tally = predict(output, form, again)
        assert output.read_bytes() == uninterrupted(form)
        assert (tally.answered, tally.failed) == (16, 7)
        assert [path.name for path in Path(folder).iterdir()] == ["answers"]
        assert len(again.run) % BATCH == len(PATHS) % BATCH or not again.run


@forms
@given(st.integers(0, len(PATHS) - 1))
def test_what_was_written_is_not_run_again(form, fails_at):
    with TemporaryDirectory() as folder:
        output = Path(folder, "answers")
        with pytest.raises(KeyboardInterrupt):
            predict(output, form, Answering(fails_at=fails_at))
        assert not output.exists()
        again = Answering()
        predict(output, form, again)
        assert again.run == PATHS[fails_at // BATCH * BATCH :]
        assert output.read_bytes() == uninterrupted(form)


@forms
def test_the_first_failures_are_told_whenever_they_were_met(form, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "out", form, Answering(fails_at=13))
    tally = predict(tmp_path / "out", form, Answering())
    whole = predict(tmp_path / "whole", form, Answering())
    assert len(tally.first) == len(whole.first) == 7
    assert [why[:8] for _, why in tally.first] == [why[:8] for _, why in whole.first] == ["damaged:"] * 7


@forms
@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"bundle": "1" * 64}, "the bundle"),
        ({"top": 3}, r"--top \(was 2, is 3\)"),
        ({"runner": "onnxruntime"}, "--runner"),
        ({"threads": 1}, "--threads"),
        ({"version": "0.0.1"}, "Fieldmark"),
        ({"paths": PATHS[:-1]}, "the list of images .was 23 long, is 22"),
        ({"paths": [*PATHS[1:], PATHS[0]]}, "the list of images"),
    ],
)
def test_another_job_is_refused_and_loses_nothing(form, changes, word, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "out", form, Answering(fails_at=9))
    with pytest.raises(UsageError, match=word) as caught:
        predict(tmp_path / "out", form, Answering(), **changes)
    assert str(run_folder(tmp_path / "out")) in caught.value.where
    again = Answering()
    predict(tmp_path / "out", form, again)
    assert len(again.run) == len(PATHS) - 8 and (tmp_path / "out").read_bytes() == uninterrupted(form)


def test_another_form_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "out", "csv", Answering(fails_at=9))
    with pytest.raises(UsageError, match=r"--format \(was csv, is jsonl\)"):
        predict(tmp_path / "out", "jsonl", Answering())


@pytest.mark.parametrize("encoded", [b"", b"{}", b"[" * 5000, b"\xff"])
def test_a_job_that_is_not_as_it_was_written_is_refused(encoded, tmp_path):
    run_folder(tmp_path / "out").mkdir()
    (run_folder(tmp_path / "out") / "job.json").write_bytes(encoded)
    with pytest.raises(UsageError, match="not as it was written"):
        predict(tmp_path / "out", "csv", Answering())


def test_how_the_graph_is_run_is_settled_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "out", "csv", Answering(fails_at=9))
    other = msgspec.structs.replace(EXECUTION, batch=7)
    used = []

    def answering(execution, images):
        used.append(execution)
        return Answering()(execution, images)

    answer_all(tmp_path / "out", PATHS, asked("csv"), choose=lambda _: other, answer=answering, progress=silent)
    assert used == [EXECUTION] and (tmp_path / "out").read_bytes() == uninterrupted("csv")


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path):
    with pytest.raises(OutputError, match="No space left") as caught:
        predict(tmp_path / "out", "csv", Answering(fails_at=13, error=OSError(28, "No space left on device")))
    assert "goes on" in caught.value.do
    again = Answering()
    predict(tmp_path / "out", "csv", again)
    assert len(again.run) == len(PATHS) - 12 and (tmp_path / "out").read_bytes() == uninterrupted("csv")


def test_two_at_once_are_refused(tmp_path):
    def second(execution, images):
        with pytest.raises(UsageError, match="another run"):
            predict(tmp_path / "out", "csv", Answering())
        return Answering()(execution, images)

    answer_all(tmp_path / "out", PATHS, asked("csv"), choose=lambda _: EXECUTION, answer=second, progress=silent)
    assert (tmp_path / "out").read_bytes() == uninterrupted("csv")


def test_no_images_give_an_empty_table(tmp_path):
    tally = predict(tmp_path / "out", "csv", Answering(), paths=[])
    assert (tally.answered, tally.failed) == (0, 0)
    assert (tmp_path / "out").read_text().count("\n") == 1
    assert not run_folder(tmp_path / "out").exists()


def test_what_lies_there_already_stays_until_the_new_is_whole(tmp_path):
    (tmp_path / "out").write_text("older answers")
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "out", "csv", Answering(fails_at=9))
    assert (tmp_path / "out").read_text() == "older answers"
    predict(tmp_path / "out", "csv", Answering())
    assert (tmp_path / "out").read_bytes() == uninterrupted("csv")
    shutil.rmtree(run_folder(tmp_path / "out"), ignore_errors=True)
