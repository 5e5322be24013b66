"""A step's gradient, however many images fit: the same but for rounding, and memory that ran out leaves no trace."""

from __future__ import annotations

import json

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import makers_training as make
from fieldmark.errors import UsageError
from fieldmark.training import checkpoint
from fieldmark.training.gradient import Gradient
from fieldmark.training.logbook import LOG
from fieldmark.training.loop import _accelerator, fit
from fieldmark.training.objective import Aim, objective


def no_cuda_memory() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def no_memory() -> Exception:
    return MemoryError()


def what_torch_says_of_a_processor() -> Exception:
    try:
        torch.empty(2**60)
    except RuntimeError as error:
        return error
    raise AssertionError("this machine has an exabyte")


shortages = pytest.mark.parametrize("shortage", [no_cuda_memory, no_memory, what_torch_says_of_a_processor])


def starving(network, most: int, shortage=no_cuda_memory):
    """Its forward pass has memory for `most` images; what it tried is in `network.tried`."""
    network.tried = []

    def check(module, inputs) -> None:
        if not module.training:
            return
        module.tried.append(len(inputs[0]))
        if len(inputs[0]) > most:
            raise shortage()

    network.register_forward_pre_hook(check)
    return network


def changed(**changes: object):
    return msgspec.structs.replace(make.PLAN, **changes)


def gradient_of(tmp_path, network, plan, targets) -> tuple[Gradient, Aim]:
    lowered = objective(make.job(tmp_path), plan)
    return Gradient(network, lowered, _accelerator("fp32")), lowered.aim(make.batch(targets), 0.5)


@settings(max_examples=20)
@given(images=st.integers(1, 23), micro_batch=st.integers(1, 30))
def test_in_groups_it_is_that_of_the_whole_batch(tmp_path_factory, images, micro_batch):
    views = torch.randint(0, 256, (images, 16, 16, 3), dtype=torch.uint8)
    truth = torch.arange(images) % 3
    network, folder = make.network(plain=True), tmp_path_factory.mktemp("job")
    gradient, aim = gradient_of(folder, network, make.PLAN, truth)
    whole = gradient(views, aim, 0.5, images)
    expected = [weight.grad.clone() for weight in network.parameters()]
    starving(network, most=micro_batch)
    value = gradient(views, aim, 0.5, micro_batch)
    assert value.item() == pytest.approx(whole.item(), rel=1e-5)
    for weight, grad in zip(network.parameters(), expected, strict=True):
        assert torch.allclose(weight.grad, grad, rtol=1e-4, atol=1e-6)
    # As even as can be: a last group of one image would be a poor thing for batch normalisation.
    assert max(network.tried) - min(network.tried) <= 1


@shortages
def test_memory_that_ran_out_leaves_no_trace(tmp_path, shortage):
    """The second of two groups finds none; the first has moved the statistics of batch normalisation by then."""
    network = make.network()
    before = make.weights(network)

    def second(module, inputs) -> None:
        if network.encoder.norm.num_batches_tracked == 1:
            raise shortage()

    network.register_forward_pre_hook(second)
    gradient, aim = gradient_of(tmp_path, network, make.PLAN, torch.zeros(8, dtype=torch.int64))
    views = torch.zeros(8, 16, 16, 3, dtype=torch.uint8)
    assert gradient(views, aim, 0.5, 4) is None
    assert make.weights(network) == before
    assert all(weight.grad is None for weight in network.parameters())


def test_another_error_is_not_taken_for_it(tmp_path):
    network = starving(make.network(), 4, lambda: RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        fit(network, make.job(tmp_path), make.PLAN)


@shortages
def test_training_goes_on_in_halves_and_the_plan_says_from_where(tmp_path, shortage):
    network = starving(make.network(), 5, shortage)
    fitted = fit(network, make.job(tmp_path), make.PLAN)
    assert fitted.plan.halvings == ((0, 8), (0, 4)) and fitted.plan.batch == 16
    assert network.tried[:6] == [16, 8, 4, 4, 4, 4] and set(network.tried[6:]) == {4}
    assert len(fitted.epochs) == 4 and fitted.epochs[-1].score > 0.9
    assert "memory did not suffice for 16 images at once: from step 1 on 8" in fitted.notes[0]
    told = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["text"] for line in told if line["kind"] == "note"] == list(fitted.notes[:2])
    # The plan that was run gives the same bytes where memory is no matter.
    again = make.network()
    (tmp_path / "again").mkdir()
    fit(again, make.job(tmp_path / "again"), fitted.plan)
    assert make.weights(again) == make.weights(network)


def test_memory_that_runs_out_amid_training_is_remembered_by_the_checkpoint(tmp_path, monkeypatch):
    """Another program takes some at step 7; the run is stopped at step 10, and resumed where nothing is scarce."""
    monkeypatch.setattr("fieldmark.training.running.SAVE_S", 0.0)

    def scarce_from(step):
        network = make.network()
        seen = [0]

        def check(module, inputs) -> None:
            seen[0] += module.training
            if module.training and seen[0] >= step and len(inputs[0]) > 8:
                raise no_cuda_memory()

        network.register_forward_pre_hook(check)
        return network

    whole = scarce_from(7)
    (tmp_path / "alone").mkdir()
    left_alone = fit(whole, make.job(tmp_path / "alone"), changed(average=0.1))
    assert left_alone.plan.halvings == ((6, 8),)

    class Stopped(Exception): ...

    def stop(stage, done, total, remark=""):
        if done == 10:
            raise Stopped

    with pytest.raises(Stopped):
        fit(scarce_from(7), make.job(tmp_path, progress=stop), changed(average=0.1))
    assert checkpoint.load(tmp_path)[0].plan.halvings == ((6, 8),)
    resumed = make.network()
    fitted = fit(resumed, make.job(tmp_path, resume=True), changed(average=0.1))
    assert make.weights(resumed) == make.weights(whole)
    assert [note for note in fitted.notes if "memory" in note] == [
        note for note in left_alone.notes if "memory" in note
    ]


def test_a_micro_batch_that_was_asked_for_is_kept_to(tmp_path):
    network = starving(make.network(), 3)
    fitted = fit(network, make.job(tmp_path), changed(micro_batch=3))
    assert not fitted.plan.halvings and set(network.tried) == {2, 3}


def test_not_even_one_image_is_an_error_in_words(tmp_path):
    with pytest.raises(UsageError, match="single image") as error:
        fit(starving(make.network(plain=True), 0), make.job(tmp_path), make.PLAN)
    assert "--size" in error.value.do


def test_long_gradients_are_shortened_where_asked(tmp_path):
    """So short that plain SGD, without decay and mostly momentum, can hardly move."""
    moved = []
    for number, clip in enumerate((0.0, 1e-6)):
        network = make.network()
        before = torch.cat([weight.detach().flatten().clone() for weight in network.parameters()])
        (tmp_path / str(number)).mkdir()
        fit(network, make.job(tmp_path / str(number)), changed(clip=clip, weight_decay=0.0))
        moved.append((torch.cat([w.detach().flatten() for w in network.parameters()]) - before).norm().item())
    steps_and_momentum = 16 * 0.05 * 10
    assert moved[0] > 0.05 and moved[1] <= 1e-6 * steps_and_momentum
