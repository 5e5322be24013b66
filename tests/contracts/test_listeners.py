"""Every listener: what it is told can be read where its own tools read it; and none can end or hold up a run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import makers_training as make
from fieldmark.errors import MissingExtra, UsageError
from fieldmark.table import Table
from fieldmark.training import listeners
from fieldmark.training.listeners import LISTENERS, Audience, ListenerRow, asked
from fieldmark.training.loop import fit
from fieldmark.training.recipe import Recipe

every_listener = pytest.mark.parametrize("name", list(LISTENERS))


def curve_in_tensorboard(run_folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = run_folder.with_suffix(".tensorboard").iterdir()
    read = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in read.Scalars(name)]


def curve_in_mlflow(run_folder: Path, name: str) -> list[tuple[int, float]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("fieldmark").experiment_id])
    assert run.data.params["optimiser"] == make.PLAN.optimiser and run.info.status == "FINISHED"
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]


READ = {"tensorboard": curve_in_tensorboard, "mlflow": curve_in_mlflow}


@every_listener
def test_its_own_tools_read_one_run_with_every_step_though_it_was_stopped_and_resumed(name, tmp_path, monkeypatch):
    pytest.importorskip(LISTENERS[name].package, reason=f"THE LISTENER {name} WAS NOT TESTED: not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'store'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr("fieldmark.training.running.SAVE_EPOCH_S", 0.0)
    LISTENERS[name].require()
    folder = tmp_path / "photos.run"
    folder.mkdir()
    recipe = Recipe(log=name)
    with pytest.raises(make.Stopped):
        fit(make.network(), make.job(folder, recipe=recipe, progress=make.stop_at(6)), make.PLAN)
    fitted = fit(make.network(), make.job(folder, recipe=recipe, resume=True), make.PLAN)
    assert not any("listener" in note for note in fitted.notes)
    assert sorted(dict(READ[name](folder, "step/loss"))) == list(range(1, 17))
    scores = READ[name](folder, "epoch/score")
    assert scores == [(4 * e.epoch, pytest.approx(e.score)) for e in fitted.epochs]


def fails_to_open(run_folder: Path, step: int):
    raise OSError("no server")


class Deaf:
    def __init__(self, run_folder: Path, step: int) -> None: ...

    def hear(self, *_) -> None:
        raise KeyError("of a library's own")

    def close(self) -> None: ...


class Lingering(Deaf):
    def hear(self, *_) -> None: ...

    def close(self) -> None:
        raise ValueError("cannot end")


@pytest.mark.parametrize("opens", [fails_to_open, Deaf, Lingering])
def test_one_that_fails_is_dropped_with_a_note_and_changes_nothing(opens, tmp_path, monkeypatch):
    row = ListenerRow(name="faulty", summary="", package="json", open=opens)
    monkeypatch.setattr(listeners, "LISTENERS", Table.rows("listener", (row,)))
    quiet, heard = make.network(), make.network()
    (tmp_path / "quiet").mkdir()
    fit(quiet, make.job(tmp_path / "quiet"), make.PLAN)
    fitted = fit(heard, make.job(tmp_path, recipe=Recipe(log="faulty")), make.PLAN)
    assert make.weights(quiet) == make.weights(heard)
    assert sum("listener faulty failed and was dropped" in note for note in fitted.notes) == 1


def test_one_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    let_go = threading.Event()

    class Hanging(Deaf):
        def hear(self, *_) -> None:
            let_go.wait()

    row = ListenerRow(name="hanging", summary="", package="json", open=Hanging)
    monkeypatch.setattr(listeners, "LISTENERS", Table.rows("listener", (row,)))
    monkeypatch.setattr(listeners, "LAST_LINES_S", 0.01)
    fitted = fit(make.network(), make.job(tmp_path, recipe=Recipe(log="hanging")), make.PLAN)
    let_go.set()
    assert any("hanging did not take the last lines" in note for note in fitted.notes)


def test_names_are_asked_for_with_commas_or_plus():
    assert asked("none") == ()
    assert asked("tensorboard+mlflow") == asked("tensorboard,mlflow") == ("tensorboard", "mlflow")
    assert asked("mlflow+mlflow") == ("mlflow",)


def test_one_that_is_not_installed_is_an_error_that_says_what_to_install():
    row = ListenerRow(name="loom", summary="", package="no_such_package", open=Deaf)
    with pytest.raises(MissingExtra) as error:
        row.require()
    assert "fieldmark[loom]" in error.value.do


def test_mlflow_without_a_server_is_refused(monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match="where runs are kept"):
        LISTENERS["mlflow"].require()


def test_nobody_listens_by_itself(tmp_path):
    assert Audience(asked(Recipe().log), tmp_path, 0).close() == ()
