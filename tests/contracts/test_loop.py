"""What the training loop promises: it learns, a plan gives the same bytes each time, and a kill changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

import makers_training as make
from fieldmark.errors import UsageError
from fieldmark.training.loop import LAYER_S, MB_S, fit
from fieldmark.training.network import Network
from fieldmark.training.plan import Plan
from fieldmark.training.remedies import REMEDIES
from fieldmark.training.scoring import Score, score, scoring_batch
from fieldmark.training.winograd import FEWEST_TILES

plans = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimiser": "adamw", "learning_rate": 0.01},
        {"optimiser": "muon", "learning_rate": 0.1},
        {"augment": "crop+shift", "crop_scale": 0.5, "flip": False},
        {"augment": "flip+trivial+erase+mixup+cutmix", "balance": "class-weights"},
        {"optimiser": "lion", "learning_rate": 0.003, "schedule": "triangle"},
        {"clip": 0.1, "micro_batch": 5, "schedule": "one-cycle"},
        {
            "average": 0.1,
            "optimiser": "adamw",
            "first_layer_rate": 0.3,
            "frozen_share": 0.5,
            "keeps_statistics": True,
        },
        {"balance": "balanced-sampling", "loss": "focal"},
        {"epochs": 2.5},
        {"patience": 1, "epochs": 12},
        *({"remedy": name, "noise_rate": 0.3} for name in REMEDIES if name != "none"),
    ],
    ids=str,
)


def changed(**changes: object) -> Plan:
    return msgspec.structs.replace(make.PLAN, **changes)


def test_what_is_frozen_and_the_statistics_stay_as_they_came(tmp_path):
    network = make.network()
    names = [name for name, _ in network.named_parameters()]
    frozen, moving = names[: len(names) // 2], names[len(names) // 2 :]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fit(network, make.job(tmp_path), changed(frozen_share=0.5, keeps_statistics=True))
    after = network.state_dict()
    averages = [name for name in after if name.endswith(("running_mean", "running_var"))]
    assert averages and all(torch.equal(before[name], after[name]) for name in (*frozen, *averages))
    assert not any(torch.equal(before[name], after[name]) for name in moving)


@pytest.mark.parametrize("task", ["single", "multi"])
def test_it_learns_and_leaves_the_best_epoch_in_the_network(tmp_path, task):
    job, network = make.job(tmp_path, task=task), make.network()
    fitted = fit(network, job, changed(epochs=8, score="accuracy" if task == "single" else "negative log-loss"))
    scores = [epoch.score for epoch in fitted.epochs]
    assert [epoch.epoch for epoch in fitted.epochs] == list(range(1, 9))
    assert scores[fitted.best_epoch - 1] == max(scores)
    again = score(network, job, "accuracy" if task == "single" else "negative log-loss")
    assert again.value == pytest.approx(max(scores), abs=1e-6)
    assert (again.value > 0.9) if task == "single" else (again.loss < 0.5)
    assert fitted.epochs[-1].train_loss < fitted.epochs[0].train_loss
    assert fitted.epochs[-1].learning_rate < 0.01 * make.PLAN.learning_rate < fitted.epochs[0].learning_rate


@plans
def test_the_same_plan_gives_the_same_bytes(tmp_path, changes):
    first, second = make.network(), make.network()
    for number, network in enumerate((first, second)):
        (tmp_path / str(number)).mkdir()
        torch.rand(number + 1)  # what the process did before has no part in it
        fit(network, make.job(tmp_path / str(number)), changed(**changes))
    assert make.weights(first) == make.weights(second)


def test_another_seed_gives_other_weights(tmp_path):
    first, second = make.network(), make.network()
    fit(first, make.job(tmp_path), make.PLAN)
    fit(second, make.job(tmp_path), changed(seed=1))
    assert make.weights(first) != make.weights(second)


@plans
@pytest.mark.parametrize("step", [3, 4, 7])
def test_stopped_and_resumed_is_as_if_left_alone(tmp_path, monkeypatch, changes, step):
    """Four steps are an epoch, so the checkpoints lie within one and at an end of one."""
    monkeypatch.setattr("fieldmark.training.running.SAVE_S", 0.0)
    left_alone, resumed = make.network(), make.network()
    (tmp_path / "alone").mkdir()
    whole = fit(left_alone, make.job(tmp_path / "alone"), changed(**changes))
    with pytest.raises(make.Stopped):
        fit(make.network(), make.job(tmp_path, progress=make.stop_at(step)), changed(**changes))
    # The plan of the checkpoint rules, not the one that is handed in.
    fitted = fit(resumed, make.job(tmp_path, resume=True), changed(learning_rate=9.0))
    assert make.weights(resumed) == make.weights(left_alone)
    assert fitted.best_epoch == whole.best_epoch and fitted.plan == whole.plan
    figures = [(epoch.train_loss, epoch.validation_loss, epoch.score) for epoch in fitted.epochs]
    assert figures == [(epoch.train_loss, epoch.validation_loss, epoch.score) for epoch in whole.epochs]


CHILD = """
import sys
from pathlib import Path
import makers_training as make
from fieldmark.training import running
from fieldmark.training.loop import fit
running.SAVE_S = 0.0
def progress(stage, done, total, remark=""):
    print(done, flush=True)
fit(make.network(), make.job(Path(sys.argv[1]), progress=progress), make.PLAN)
"""


def test_killed_by_the_system_and_resumed_is_as_if_left_alone(tmp_path):
    left_alone, resumed = make.network(), make.network()
    (tmp_path / "alone").mkdir()
    fit(left_alone, make.job(tmp_path / "alone"), make.PLAN)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-c", CHILD, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as child:
        while child.stdout.readline().strip() != "6":
            assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    fitted = fit(resumed, make.job(tmp_path, resume=True), make.PLAN)
    assert make.weights(resumed) == make.weights(left_alone)
    assert len(fitted.epochs) == 4


def test_resumed_after_the_end_is_the_end(tmp_path):
    first, second = make.network(), make.network()
    whole = fit(first, make.job(tmp_path), make.PLAN)
    assert fit(second, make.job(tmp_path, resume=True), make.PLAN) == whole
    assert make.weights(first) == make.weights(second)


def test_resumed_before_the_first_checkpoint_begins_again_and_says_so(tmp_path):
    first, second = make.network(), make.network()
    (tmp_path / "alone").mkdir()
    fit(first, make.job(tmp_path / "alone"), make.PLAN)
    fitted = fit(second, make.job(tmp_path, resume=True), make.PLAN)
    assert make.weights(first) == make.weights(second)
    assert "begun again" in fitted.notes[0]


def test_data_that_changed_is_not_resumed(tmp_path):
    fit(make.network(), make.job(tmp_path), make.PLAN)
    with pytest.raises(UsageError, match="data has changed"):
        fit(make.network(), make.job(tmp_path, images=99, resume=True), make.PLAN)


def test_it_stops_early_when_nothing_gets_better(tmp_path):
    fitted = fit(make.network(), make.job(tmp_path), changed(epochs=40, patience=2, learning_rate=1e-12))
    assert len(fitted.epochs) == fitted.best_epoch + 2 < 40


def test_a_loss_that_is_no_number_is_an_error_in_words(tmp_path):
    with pytest.raises(UsageError, match="ran away"):
        fit(make.network(), make.job(tmp_path), changed(learning_rate=1e30, optimiser="sgd"))


def test_after_a_loss_that_is_no_number_it_goes_back_and_on_at_a_lower_rate(tmp_path, monkeypatch):
    """Four steps are an epoch; the seventh goes wrong, once."""
    first, second = make.network(), make.network()
    (tmp_path / "again").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("fieldmark.training.loop.objective", make.failing_once(6))
        fitted = fit(first, make.job(tmp_path), changed(average=0.1, remedy="early-learning"))
    assert fitted.plan.cuts == ((4, 0.3),)
    assert len(fitted.epochs) == 4 and "back to step 4" in fitted.notes[0]
    assert fitted.epochs[1].learning_rate < 0.5 * fitted.epochs[0].learning_rate
    # The plan that was run gives the same bytes, and needs no accident.
    fit(second, make.job(tmp_path / "again"), fitted.plan)
    assert make.weights(first) == make.weights(second)


def test_a_budget_is_met_and_its_schedule_can_be_run_again(tmp_path):
    first, second = make.network(), make.network()
    (tmp_path / "again").mkdir()
    began = time.monotonic()
    fitted = fit(first, make.job(tmp_path, deadline=began + 4.0), changed(epochs=1e6))
    assert time.monotonic() - began < 6.0
    assert 0 < fitted.plan.epochs < 1e6 and fitted.plan.refits
    assert fitted.epochs[-1].learning_rate < 0.3 * make.PLAN.learning_rate
    # What was run without looking at the clock is what was run by it.
    fit(second, make.job(tmp_path / "again"), fitted.plan)
    assert make.weights(first) == make.weights(second)


def test_more_time_than_the_epochs_need_changes_nothing(tmp_path):
    first, second = make.network(), make.network()
    fit(first, make.job(tmp_path, deadline=time.monotonic() + 1e6), make.PLAN)
    fit(second, make.job(tmp_path), make.PLAN)
    assert make.weights(first) == make.weights(second)


def test_layers_that_winograd_suits_give_the_same_bytes_twice(tmp_path):
    trained = []
    for run in ("first", "second"):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 128, 1), nn.Conv2d(128, 128, 3, padding=1), nn.AdaptiveMaxPool2d(1), nn.Flatten()
        encoder = nn.Sequential(*layers)
        network = Network(encoder, nn.Linear(128, 3))
        (tmp_path / run).mkdir()
        fit(network, make.job(tmp_path / run, images=600), changed(batch=FEWEST_TILES, threads=2))
        trained.append(make.weights(network))
    assert trained[0] == trained[1]


def test_a_budget_for_next_to_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="next to none"):
        fit(make.network(), make.job(tmp_path, deadline=time.monotonic()), make.PLAN)


def test_a_budget_knows_before_the_first_epochs_end_what_testing_will_take(tmp_path, monkeypatch):
    kept_back = []

    def affordable(pace, step, *, scoring_s, per_epoch, after_s):
        kept_back.append((step < per_epoch, scoring_s, after_s))
        raise make.Stopped

    monkeypatch.setattr("fieldmark.training.schedule.Pace.affordable", affordable)
    job = make.job(tmp_path, images=6000, deadline=time.monotonic() + 1.0)
    with pytest.raises(make.Stopped):
        fit(make.network(), job, changed(batch=1))
    ((within_the_first, scoring_s, after_s),) = kept_back
    assert within_the_first and scoring_s > 0 and after_s >= scoring_s


def test_what_the_first_scoring_makes_ready_is_not_reckoned_for_those_to_come(tmp_path, monkeypatch):
    """EfficientNet-B0's first took twice its time, so a budget of 180 s was left after 130."""
    took_s = iter((1000.0, 1.0))
    kept_back = []

    def scored(network, job, name):
        return Score(value=0.0, loss=0.0, seconds=next(took_s))

    def affordable(pace, step, *, scoring_s, per_epoch, after_s):
        kept_back.append(scoring_s)
        raise make.Stopped

    monkeypatch.setattr("fieldmark.training.loop.score", scored)
    monkeypatch.setattr("fieldmark.training.schedule.Pace.affordable", affordable)
    job = make.job(tmp_path, images=6000, deadline=time.monotonic() + 1.0)
    with pytest.raises(make.Stopped):
        fit(make.network(), job, changed(batch=1))
    some = min(scoring_batch(job), len(job.validation))
    assert kept_back == [pytest.approx(len(job.validation) / some)]


def test_a_deep_or_a_large_network_leaves_more_of_a_budget_to_what_comes_after(tmp_path, monkeypatch):
    ends = []

    def pace(deadline):
        ends.append(deadline)
        raise make.Stopped

    monkeypatch.setattr("fieldmark.training.loop.Pace", pace)
    deep = make.network()
    deep.encoder = nn.Sequential(deep.encoder, *(nn.Identity() for _ in range(300)))
    large = make.network()
    large.encoder = nn.Sequential(large.encoder, nn.Linear(1000, 1000, bias=False))
    for run, network in (("small", make.network()), ("deep", deep), ("large", large)):
        (tmp_path / run).mkdir()
        with pytest.raises(make.Stopped):
            fit(network, make.job(tmp_path / run, deadline=1000.0), make.PLAN)
    small_s, deep_s, large_s = ends
    assert small_s - deep_s == pytest.approx(300 * LAYER_S) and small_s < 1000.0
    assert small_s - large_s == pytest.approx(LAYER_S + 4.0 * MB_S)


def test_the_process_is_left_as_it_was(tmp_path):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    fit(make.network(), make.job(tmp_path), changed(threads=threads + 1))
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_fewer_images_than_a_batch(tmp_path):
    fitted = fit(make.network(), make.job(tmp_path, images=12), changed(batch=64))
    assert len(fitted.epochs) == 4 and np.isfinite(fitted.epochs[-1].train_loss)


def test_bf16_is_used_when_asked(tmp_path):
    """Other arithmetic, other bits, and still it learns."""
    first, second = make.network(), make.network()
    fit(first, make.job(tmp_path), make.PLAN)
    fitted = fit(second, make.job(tmp_path), changed(precision="bf16"))
    assert make.weights(first) != make.weights(second)
    assert fitted.epochs[-1].score > 0.9
    assert second(torch.zeros(2, 16, 16, 3, dtype=torch.uint8))[1].dtype == torch.float32
