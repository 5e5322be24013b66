"""The log of a run: what it says, and that a run that was resumed neither repeats nor loses a line."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import msgspec
import pytest

import makers_training as make
from fieldmark.errors import OutputError
from fieldmark.training.logbook import LOG, Sums
from fieldmark.training.loop import fit

OF_THE_CLOCK = {"seconds", "time", "images_per_second", "data_wait"}


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def without_clock(folder: Path) -> list[dict[str, object]]:
    return [{name: value for name, value in line.items() if name not in OF_THE_CLOCK} for line in lines(folder)]


def test_it_says_what_was_planned_what_each_step_and_epoch_came_to_and_that_it_ended(tmp_path):
    fitted = fit(make.network(), make.job(tmp_path), make.PLAN)
    first, *middle, last = lines(tmp_path)
    assert first["kind"] == "plan" and first["plan"] == json.loads(msgspec.json.encode(make.PLAN))
    assert {"cores", "gpu", "torch", "fieldmark"} <= first["machine"].keys()
    steps = [line for line in middle if line["kind"] == "step"]
    epochs = [line for line in middle if line["kind"] == "epoch"]
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert [line["epoch"] for line in steps] == [1 + step // 4 for step in range(16)]
    for line, epoch in zip(epochs, fitted.epochs, strict=True):
        assert (line["epoch"], line["loss"], line["score"]) == (epoch.epoch, epoch.train_loss, epoch.score)
        of_it = [step["loss"] for step in steps if step["epoch"] == epoch.epoch]
        assert sum(of_it) / 4 == pytest.approx(epoch.train_loss, rel=1e-6)
    for line in (*steps, *epochs):
        assert line["images_per_second"] > 0 and 0.0 <= line["data_wait"] <= 1.0 and line["learning_rate"] > 0
    assert [line["seconds"] for line in lines(tmp_path)] == sorted(line["seconds"] for line in lines(tmp_path))
    assert last["kind"] == "end" and last["best_epoch"] == fitted.best_epoch
    (stall,) = [note for note in fitted.notes if note.startswith("data stall ")]
    assert stall == f"data stall {last['data_wait']:.1%} of step time"


def test_long_epochs_have_some_twenty_lines(tmp_path):
    fit(make.network(), make.job(tmp_path, images=300), msgspec.structs.replace(make.PLAN, batch=2, epochs=2))
    steps = [line["step"] for line in lines(tmp_path) if line["kind"] == "step"]
    assert steps == list(range(5, 201, 5))


@pytest.mark.parametrize("step", [2, 4, 6, 15])
@pytest.mark.parametrize("batch", [2, 16])
def test_stopped_and_resumed_it_is_as_if_left_alone(tmp_path, monkeypatch, step, batch):
    """Checkpoints lie at the first step and at epochs' ends: what came after is written once, and by the second."""
    monkeypatch.setattr("fieldmark.training.running.SAVE_EPOCH_S", 0.0)
    plan = msgspec.structs.replace(make.PLAN, batch=batch)
    (tmp_path / "alone").mkdir()
    fit(make.network(), make.job(tmp_path / "alone"), plan)
    with pytest.raises(make.Stopped):
        fit(make.network(), make.job(tmp_path, progress=make.stop_at(step)), plan)
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"kind":"st')  # the power went
    fit(make.network(), make.job(tmp_path, resume=True), plan)
    assert without_clock(tmp_path) == without_clock(tmp_path / "alone")


def test_begun_again_it_begins_again(tmp_path):
    (tmp_path / LOG).write_text("from a run that had no checkpoint yet\n")
    fit(make.network(), make.job(tmp_path, resume=True), make.PLAN)
    assert [line["kind"] for line in lines(tmp_path)].count("plan") == 1


def test_a_loss_that_is_no_number_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("fieldmark.training.loop.objective", make.failing_once(6))
    fitted = fit(make.network(), make.job(tmp_path), make.PLAN)
    (note,) = [line["text"] for line in lines(tmp_path) if line["kind"] == "note"]
    assert note == fitted.notes[0] and "back to step 4" in note


def test_a_disk_that_does_not_take_it_is_an_error_in_words(tmp_path):
    (tmp_path / LOG).mkdir()
    with pytest.raises(OutputError, match="log could not be written"):
        fit(make.network(), make.job(tmp_path), make.PLAN)


def test_sums_know_speed_and_waiting():
    taken = Sums(steps=1, loss=2.0, images=10, seconds=2.0, waited_s=0.5)
    assert taken.plus(taken) == Sums(steps=2, loss=4.0, images=20, seconds=4.0, waited_s=1.0)
    assert taken.plus(taken).figures() == {"images_per_second": 5.0, "data_wait": 0.25}
    assert Sums().figures() == {"images_per_second": 0.0, "data_wait": 0.0}


def test_in_another_thread_than_the_main_one_it_trains_as_well(tmp_path):
    """Signals are the main thread's alone; training from elsewhere goes without them."""
    done = []
    thread = threading.Thread(target=lambda: done.append(fit(make.network(), make.job(tmp_path), make.PLAN)))
    thread.start()
    thread.join()
    assert len(done[0].epochs) == 4
